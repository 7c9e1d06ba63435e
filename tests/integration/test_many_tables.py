"""Thousands of tables, and owners that take turns, are restored whole and in a time that grows with what PostgreSQL's own programs take.

`PGKEEPER_MANY_TABLES` says how many are many; with 20000 these tests take minutes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from .conftest import assert_nothing_left
from .support.binaries import major_version
from .support.cluster import Cluster
from .support.compare import assert_same_contents
from .support.product import DONE, FAILED, Pgkeeper
from .support.workspace import Workspace

MANY = int(os.environ.get("PGKEEPER_MANY_TABLES", "1000"))
ALTERNATING = 300
OWNERS = ("anna", "ben", "postgres")
TABLES = """
create schema many authorization {owner};
set role {owner};
do $$ begin
  for i in 1 .. {count} loop
    execute format('create table many.t%s (id int primary key, word text default %L check (word <> %L))', i, 'x', '');
    if i % 10 = 0 then execute format('insert into many.t%s select n from generate_series(1, 3) n', i); end if;
    if i % 1000 = 0 then commit; end if;
  end loop;
end $$;
"""
# Each refers to the one before, and is seen by a view of the next owner's. Who could do that once may not be able to any more.
TURNS = """
create schema turns;
grant usage on schema turns to anna, ben;
do $$ declare
  owners constant name[] := array['anna', 'ben', 'postgres'];
begin
  for i in 1 .. {count} loop
    execute format('create table turns.t%s (id int primary key, before int)', i);
    execute format('insert into turns.t%s select n, n from generate_series(1, 3) n', i);
    execute format('create index on turns.t%s (before) where before > 0', i);
    if i > 1 then
      execute format('alter table turns.t%s add foreign key (before) references turns.t%s', i, i - 1);
      execute format('create view turns.v%s as select a.id, b.before from turns.t%s a join turns.t%s b using (id)', i, i, i - 1);
      execute format('alter view turns.v%s owner to %I', i, owners[1 + (i + 1) % 3]);
    end if;
    execute format('alter table turns.t%s owner to %I', i, owners[1 + i % 3]);
  end loop;
end $$;
"""


@pytest.fixture(scope="module")
def keeper(workspace: Workspace) -> Iterator[Pgkeeper]:
    cluster = Cluster(workspace, "many")
    cluster.stop()
    # A dump locks every table.
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write("max_locks_per_transaction = 1024\n")
    cluster.start()
    cluster.psql("postgres", "create role anna login; create role ben login;")
    product = Pgkeeper(cluster, workspace.path / "many-keeper")
    yield product
    assert_nothing_left(product)
    cluster.stop()


def assert_restored(keeper: Pgkeeper, database: str) -> None:
    """Fail unless a backup is restored beside, and is the same. How long that takes is measured by the benchmark."""
    backup_id = keeper.backup(database)
    keeper("restore", backup_id, "--to", f"{database}_beside", seconds=1200).exits(DONE)
    keeper.databases.add(f"{database}_beside")
    assert_same_contents(keeper.cluster, database, f"{database}_beside")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("owner", ["anna", "postgres"])
def test_thousands_of_tables_of_one_owner_are_restored(keeper: Pgkeeper, owner: str) -> None:
    database = f"many_of_{owner}"
    keeper.create_database(database, f"alter database {database} owner to {owner};")
    keeper.cluster.psql(database, TABLES.format(owner=owner, count=MANY))
    assert_restored(keeper, database)


def restarted_with(cluster: Cluster, *settings: str) -> None:
    cluster.execute("alter system reset all")
    for setting in settings:
        cluster.execute(f"alter system set {setting}")
    cluster.stop()
    cluster.start()


def test_room_for_locks_is_looked_for_before_anything_is_loaded_and_what_is_said_makes_it(keeper: Pgkeeper) -> None:
    """More than 800 locks are taken: the manifest tells of 20 tables, the schema of 700 views, and a dump also reads catalogs.

    The pg_dump of later versions holds no locks on views, so these are tables there.
    """
    cluster = keeper.cluster
    more = "view v%s as select * from t1" if major_version() < 17 else "table v%s as select * from t1"
    keeper.create_database(
        "viewed",
        "do $$ begin for i in 1..20 loop execute format('create table t%s (n int)', i); end loop; end $$;"
        f"do $$ begin for i in 1..700 loop execute format('create {more}', i); end loop; end $$;",
    )
    small = ("max_connections = 14", "max_worker_processes = 2", "max_wal_senders = 2", "max_prepared_transactions = 0")
    try:
        restarted_with(cluster, *small, "max_locks_per_transaction = 40")
        done = keeper("backup", "--database", "viewed", "--json").exits(DONE).outcome("viewed")
        assert any("set max_locks_per_transaction to" in warning for warning in done["warnings"]), done
        restarted_with(cluster, *small, "max_locks_per_transaction = 10")
        assert "max_locks_per_transaction" in keeper("backup", "--database", "viewed").exits(FAILED).error
        before = cluster.databases()
        refused = keeper("restore", done["backup_id"], "--to", "viewed_beside").exits(FAILED)
        assert "room for too few locks" in refused.error
        assert "load data" not in refused.stderr
        assert cluster.databases() == before
        said = re.search(r"`ALTER SYSTEM SET (max_locks_per_transaction = \d+)`", refused.error)
        assert said, refused.error
        restarted_with(cluster, *small, said[1])
        keeper("restore", done["backup_id"], "--to", "viewed_beside").exits(DONE)
        keeper.databases.add("viewed_beside")
    finally:
        restarted_with(cluster)


def test_owners_that_take_turns_are_restored(keeper: Pgkeeper) -> None:
    keeper.create_database("turns", TURNS.format(count=ALTERNATING))
    assert_restored(keeper, "turns")
    owned = "select pg_get_userbyid(relowner), count(*) from pg_class where relnamespace = 'turns'::regnamespace group by 1 order by 1"
    assert keeper.cluster.query(owned, database="turns_beside") == keeper.cluster.query(owned, database="turns")
    assert {owner for owner, _ in keeper.cluster.query(owned, database="turns")} == set(OWNERS)
