"""What else a backup brings along is restored without touching, or needing, what it stood among."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from .conftest import assert_nothing_left
from .support.binaries import server_directory
from .support.cluster import Cluster
from .support.product import DONE, Pgkeeper
from .support.visitors import nobody_visits
from .support.workspace import Workspace

REACHING_OUT = """
create extension postgres_fdw;
create server away foreign data wrapper postgres_fdw options (host '{host}', port '{port}', dbname 'postgres');
create user mapping for public server away options (user 'postgres', password_required 'false');
create foreign table far (datname name) server away options (schema_name 'pg_catalog', table_name 'pg_database');
create table t as select generate_series(1, 10) as n;
create table elsewhere (n int) tablespace beside; insert into elsewhere select n from t;
create index elsewhere_n on elsewhere (n) tablespace beside;
create function counted() returns bigint language sql security definer as 'select count(*) from public.t';
create materialized view m as select counted() as n;
create function noted() returns event_trigger language plpgsql as $$ begin
  if current_setting('listen_addresses') = '' then perform from far; end if; end $$;
create event trigger noted on ddl_command_end execute function noted();
create publication ours for table t;
create subscription theirs connection 'host={host} port={port} dbname=postgres user=postgres' publication ours
  with (connect = false, slot_name = 'theirs');
alter subscription theirs enable;
"""


def test_a_database_that_reaches_out_reaches_nobody_while_it_is_proven(pgkeeper: Pgkeeper) -> None:
    cluster = pgkeeper.cluster
    place = pgkeeper.home / "tablespace"
    place.mkdir()
    shutil.chown(place, "postgres", "postgres")
    cluster.execute(sql.SQL("create tablespace beside location {}").format(sql.Literal(str(place))))
    try:
        pgkeeper.create_database("reaching", REACHING_OUT.format(host=cluster.socket_directory, port=cluster.port))
        backup_id = pgkeeper.backup("reaching")
        # It was enabled when it was backed up; from here on, only the proof's could call.
        cluster.execute("alter subscription theirs disable", database="reaching")
        before = sorted(place.rglob("*"))
        with nobody_visits(cluster):
            outcome = pgkeeper("verify", backup_id, "--level", "restore", "--json").exits(DONE).outcome("reaching")
        assert sorted(place.rglob("*")) == before
    finally:
        cluster.drop_database("reaching")
        cluster.execute("drop tablespace beside")
    assert [warning for warning in outcome["warnings"] if "subscription theirs is there, disabled" in warning], outcome


@pytest.fixture
def preloading(workspace: Workspace) -> Iterator[tuple[Pgkeeper, Path]]:
    """A pgkeeper whose cluster preloads libraries, one of which is only its own; that one's file."""
    libraries = server_directory().parent / "lib"
    own = libraries / "pgkeeper_it_preload.so"
    shutil.copy(libraries / "auto_explain.so", own)
    try:
        cluster = Cluster(workspace, "preloading")
        cluster.stop()
        with (cluster.data / "postgresql.conf").open("a") as file:
            file.write(f"shared_preload_libraries = 'pg_prewarm,{own.stem}'\n")
        cluster.start()
        product = Pgkeeper(cluster, workspace.path / "preloading")
        product.create_database("preloaded")
        yield product, own
        assert_nothing_left(product)
        if cluster.data.joinpath("postmaster.pid").exists():
            cluster.stop()
    finally:
        own.unlink(missing_ok=True)


def test_preload_libraries_are_loaded_where_they_can_be_and_named_where_they_cannot(preloading: tuple[Pgkeeper, Path]) -> None:
    keeper, own = preloading
    backup_id = keeper.backup("preloaded")

    def warnings() -> list[str]:
        outcome = keeper("verify", backup_id, "--level", "restore", "--json").exits(DONE).outcome("preloaded")
        return [warning for warning in outcome["warnings"] if "preload library" in warning]

    # One of them would start background workers, of which there are none to be had.
    assert warnings() == []
    whole = own.read_bytes()
    own.unlink()
    missing = warnings()
    assert len(missing) == 1
    assert own.stem in missing[0]
    own.write_bytes(whole[:1000])
    assert {name for name in ("pg_prewarm", own.stem) if any(name in warning for warning in warnings())} == {"pg_prewarm", own.stem}
