"""What somebody who owns a database and has only SQL can do to those who look into it, running or recovered: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest

from pgkeeper.model.errors import RefusedError
from pgkeeper.postgres.amcheck import amcheck, why_unsafe
from pgkeeper.postgres.facts import identify, list_databases, read_cluster
from pgkeeper.postgres.owners import Owners, ask_owners
from pgkeeper.postgres.page_check import check_pages
from pgkeeper.postgres.planned_code import filters_run_no_code
from pgkeeper.postgres.row_probe import probe_rows
from pgkeeper.postgres.server import Server

from .support.cluster import Cluster
from .support.product import DONE, REFUSED, Pgkeeper
from .support.user import SERVICE_USER
from .support.zoo import zoo_extension

DATABASE = "prey"
# Mallory's code: in a session of pgkeeper it takes what it can get, and elsewhere it does nothing. A function that is called immutable may
# change nothing itself, but call one that does.
PWN = """
set role mallory;
create schema m;
create function m.strike() returns int language plpgsql volatile as $$ begin
  if current_setting('application_name') like 'pgkeeper%' or current_setting('application_name') = 'pg_amcheck' then
    begin
      -- What is written to a file stays, also where the transaction is rolled back, or read-only.
      execute 'reset session authorization'; execute format('copy (select 1) to %L', '{loot}');
      execute 'alter role mallory superuser';
    exception when others then null; end;
  end if; return 1; end $$;
create function m.pwn() returns int language plpgsql immutable as $$ begin return m.strike(); end $$;
"""


@pytest.fixture
def prey(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster in which mallory owns a database, and is nobody special."""
    cluster.psql("postgres", "create role mallory login createdb; create role tenant login; create role readers; create role dba;")
    cluster.execute(f"create database {DATABASE} owner mallory template template0")
    cluster.psql(DATABASE, PWN.format(loot=loot(cluster)))
    try:
        yield cluster
    finally:
        loot(cluster).unlink(missing_ok=True)
        cluster.drop_database(DATABASE)
        cluster.psql("postgres", "drop role mallory; drop role tenant; drop role readers; drop role dba;")


def server_of(cluster: Cluster) -> Server:
    return Server({**cluster.environment(), "PGUSER": SERVICE_USER})


def major_of(cluster: Cluster) -> int:
    with server_of(cluster).connect_maintenance() as session:
        return identify(session).major


def loot(cluster: Cluster) -> Path:
    """A file that only a superuser can have the server write."""
    return cluster.data / "loot"


def won(cluster: Cluster) -> bool:
    """Whether mallory's code has run with a superuser's rights."""
    return loot(cluster).exists() or bool(cluster.query("select from pg_roles where rolname = 'mallory' and rolsuper"))


def owners(cluster: Cluster) -> Owners:
    return ask_owners(server_of(cluster), DATABASE, major_of(cluster))


def test_asking_for_whom_a_database_works_runs_no_code_of_an_index(prey: Cluster) -> None:
    prey.psql(DATABASE, "set role mallory; create table m.t (n int); create index on m.t (m.pwn());")
    assert owners(prey) == Owners(frozenset({"mallory"}), {})
    assert not won(prey)


@pytest.mark.parametrize(
    ("script", "served", "words"),
    [
        ("", True, ""),
        ("revoke usage on schema s from readers", False, "permission denied for schema s"),
        ("alter role tenant noinherit; revoke readers from tenant; grant readers to tenant", False, "permission denied for schema s"),
        ("grant usage on schema s to public; revoke readers from tenant", True, ""),
        ("revoke all on s.t from tenant", False, "permission denied for table s.t"),
        ("revoke all on s.t from tenant; grant select (n) on s.t to tenant", True, ""),
        ("revoke all on s.t from tenant; grant select on s.t to readers", True, ""),
        ("revoke connect on database prey from public", False, "may not connect"),
        ("revoke connect on database prey from public; grant connect on database prey to readers", True, ""),
    ],
)
def test_a_database_works_for_whoever_may_connect_and_read_his_own(prey: Cluster, script: str, served: bool, words: str) -> None:
    prey.psql(
        DATABASE,
        f"""
        create schema s; create table s.t (n int); alter table s.t owner to tenant;
        grant usage on schema s to readers; grant readers to tenant; {script};
        """,
    )
    found = owners(prey)
    assert ("tenant" in found.served, words in found.refused.get("tenant", "")) == (served, True)
    # PostgreSQL itself says the same.
    if "connect" not in words:
        with prey.connect(DATABASE) as session:
            session.execute("set session authorization tenant")
            with nullcontext() if served else pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select from s.t limit 0")


OVERLOAD = """
set role mallory;
create function {schema}.verify_heapam(relation oid, on_error_stop boolean, check_toast boolean, skip text,
    startblock bigint default null, endblock bigint default null, blkno out bigint, offnum out int, attnum out int, msg out text)
returns setof record language plpgsql as $$ begin perform m.pwn(); end $$;
"""


def test_functions_beside_those_of_amcheck_are_not_called_by_the_check_of_a_running_cluster(prey: Cluster) -> None:
    prey.psql(DATABASE, "create extension amcheck schema public; create table t ();" + OVERLOAD.format(schema="public"))
    with pytest.raises(RefusedError, match="mallory can create functions"):
        amcheck(server_of(prey), DATABASE, major_of(prey))
    assert not won(prey)


UNSAFE = {
    "a schema of the database's owner": ("create extension amcheck schema m", "mallory can create"),
    "public, which is the database owner's": ("create extension amcheck schema public", "mallory can create"),
    "everybody may create": ("create schema a; create extension amcheck schema a; grant create on schema a to public", "can create"),
    "a role may create": ("create schema a; create extension amcheck schema a; grant create on schema a to tenant", "tenant can create"),
    "a role may create by membership": (
        "create schema a; create extension amcheck schema a; grant create on schema a to readers; grant readers to mallory",
        "mallory can create",
    ),
    "a group owns the schema": ("create schema a authorization readers; create extension amcheck schema a", "readers can create"),
    "another function of the name": (
        "create schema a; create extension amcheck schema a; create function a.bt_index_check(oid) returns int language sql as 'select 1'",
        "function a.bt_index_check(oid) beside",
    ),
    "a function that was given away": (
        "create schema a; create extension amcheck schema a; alter function a.bt_index_check(regclass) owner to mallory",
        "function a.bt_index_check(regclass) beside",
    ),
    "another member that was given away": (
        "create schema a; create extension amcheck schema a; alter extension amcheck add function m.pwn()",
        "function m.pwn() beside",
    ),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_the_check_of_a_running_cluster_refuses_where_others_may_create(prey: Cluster, kind: str) -> None:
    script, words = UNSAFE[kind]
    prey.psql(DATABASE, script)
    with server_of(prey).connect(DATABASE) as session:
        assert words in (why_unsafe(session) or "safe")


SAFE = {
    "a schema of its own": "create schema amcheck; create extension amcheck schema amcheck",
    "who may become a superuser anyway": "create schema a; create extension amcheck schema a; grant postgres to dba",
    "others may use it": "create schema a; create extension amcheck schema a; grant usage on schema a to public",
    "public of a superuser's database": "alter database prey owner to postgres; create extension amcheck schema public",
}


@pytest.mark.parametrize("kind", SAFE)
def test_the_check_of_a_running_cluster_looks_where_only_superusers_may_create(prey: Cluster, kind: str) -> None:
    prey.psql(DATABASE, SAFE[kind])
    prey.psql(DATABASE, "set role mallory; create table m.t as select 1 as n; create index on m.t (n);")
    for deep in (False, True):
        assert amcheck(server_of(prey), DATABASE, major_of(prey), heap_all_indexed=deep) == ()


def test_a_deep_check_runs_an_indexs_code_with_no_more_than_its_owners_rights(prey: Cluster) -> None:
    prey.psql(DATABASE, "create schema amcheck; create extension amcheck schema amcheck;")
    prey.psql(
        DATABASE,
        """
        set role mallory; create table m.t as select 1 as n; create table m.seen (who name);
        create function m.tell(int) returns int language plpgsql immutable as $$ begin
          if current_setting('application_name') = 'pg_amcheck' then insert into m.seen values (current_user); perform m.pwn(); end if;
          return $1; end $$;
        create index on m.t (m.tell(n));
        """,
    )
    amcheck(server_of(prey), DATABASE, major_of(prey), heap_all_indexed=True)
    assert not won(prey)


def test_without_the_extension_there_is_nothing_to_be_safe(prey: Cluster) -> None:
    with server_of(prey).connect(DATABASE) as session:
        assert why_unsafe(session) is None
    with pytest.raises(RefusedError, match="is not in it"):
        amcheck(server_of(prey), DATABASE, major_of(prey))


PLANTED = {
    "a schema of our name": "set role mallory; create schema pgkeeper_amcheck;",
    "the extension among an owner's functions": """
        create extension amcheck schema m; set role mallory;
        create function m.verify_heapam(relation regclass, check_toast boolean, blkno out bigint, offnum out int, msg out text)
            returns setof record language plpgsql as $$ begin perform m.pwn(); end $$;
        create function m.bt_index_check(oid) returns void language plpgsql as $$ begin perform m.pwn(); end $$;
    """,
    "functions that stand in for the extension's": """
        create extension amcheck schema m; alter function m.bt_index_check(regclass) owner to mallory; set role mallory;
        create or replace function m.bt_index_check(index regclass) returns void language plpgsql as $$ begin perform m.pwn(); end $$;
    """,
    "an event trigger that is always enabled": """
        create function m.event() returns event_trigger language plpgsql as $$ begin perform m.pwn(); raise 'no DDL here'; end $$;
        create event trigger stop on ddl_command_start execute function m.event(); alter event trigger stop enable always;
    """,
    "default privileges": """
        alter default privileges grant all on schemas to public; alter default privileges grant all on functions to public;
    """,
    "settings of the database": "alter database prey set search_path = m, pg_catalog; alter database prey set constraint_exclusion = on",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_nothing_that_is_planted_stops_or_runs_in_the_check_of_a_recovered_cluster(prey: Cluster, kind: str) -> None:
    prey.psql(DATABASE, "set role mallory; create table m.t as select 1 as n; create index on m.t (n);")
    prey.psql(DATABASE, PLANTED[kind])
    kept = (
        "select (select array_agg(nspname order by 1) from pg_namespace), (select array_agg(evtenabled order by 1) from pg_event_trigger)"
    )
    before = prey.query(kept, database=DATABASE)
    assert check_pages(server_of(prey), DATABASE) == ()
    assert not won(prey)
    assert prey.query(kept, database=DATABASE) == before


READ = {
    "an index": "create table m.t (n int); create index on m.t (m.pwn());",
    "an index's condition": "create table m.t (n int); create index on m.t (n) where m.pwn() = n;",
    "statistics": "create table m.t (n int, k int); create statistics m.s on (n + m.pwn()), k from m.t;",
    "a domain": "create domain m.d as int check (m.pwn() = value); create table m.t (n int); create index on m.t ((n + 1::m.d));",
    "a partition's key": "create table m.p (n int) partition by range ((n + m.pwn()));"
    "create table m.t partition of m.p for values from (1) to (2);",
    "an inherited table": "create table m.t (n int); create table m.c () inherits (m.t); create index on m.c (m.pwn());",
    "a materialized view": "create materialized view m.t as select 1 as n; create index on m.t (m.pwn());",
    "a view": "create view m.t as select m.pwn() as n;",
}


@pytest.mark.parametrize("kind", READ)
def test_reading_a_first_row_of_a_recovered_table_runs_nobodys_code(prey: Cluster, kind: str) -> None:
    prey.psql(DATABASE, f"set role mallory; {READ[kind]}")
    assert probe_rows(server_of(prey), DATABASE).unreadable == ()
    assert not won(prey)


def test_a_database_is_backed_up_whatever_its_owner_calls_it(prey: Cluster) -> None:
    named = "pgkeeper_partial_deadbeef"
    prey.execute(f"create database {named} owner mallory template template0")
    try:
        with server_of(prey).connect_maintenance() as session:
            assert named in list_databases(session)
            # One that is being built is a superuser's.
            session.execute(f"alter database {named} owner to postgres")
            assert named not in list_databases(session)
    finally:
        prey.drop_database(named)


@pytest.mark.parametrize(
    "script",
    [
        "create table m.theirs (); alter table m.theirs owner to pgkeeper_loader_deadbeef",
        "grant usage on schema m to pgkeeper_loader_deadbeef",
        "grant connect on database prey to pgkeeper_loader_deadbeef",
    ],
)
def test_a_role_that_something_depends_on_is_backed_up_whatever_it_is_called(prey: Cluster, script: str) -> None:
    named = "pgkeeper_loader_deadbeef"
    prey.psql("postgres", f"create role {named}; grant readers to {named};")
    try:
        with server_of(prey).connect_maintenance() as session:
            alone = read_cluster(session, "host")
            prey.psql(DATABASE, script)
            needed = read_cluster(session, "host")
        for cluster, there in ((alone, False), (needed, True)):
            assert (named in {role.name for role in cluster.roles}) is there
            assert (named in {membership.member for membership in cluster.memberships}) is there
    finally:
        prey.psql(DATABASE, f"drop owned by {named}")
        prey.psql("postgres", f"drop role {named}")


@pytest.fixture
def given_away(prey: Cluster) -> Iterator[Cluster]:
    """A table of an extension, which dumps it by a query, was given to mallory."""
    with zoo_extension():
        prey.psql(DATABASE, "create extension zoo_extension schema public; alter table public.zoo_partly owner to mallory;")
        yield prey


def test_a_backup_runs_no_code_of_a_table_that_is_dumped_by_a_query(given_away: Cluster, pgkeeper: Pgkeeper) -> None:
    pgkeeper("backup", "--database", DATABASE).exits(DONE)
    given_away.psql(DATABASE, "set role mallory; create index on public.zoo_partly (m.pwn());")
    run = pgkeeper("backup", "--database", DATABASE).exits(REFUSED)
    assert "public.zoo_partly in database prey cannot be dumped safely" in run.stderr + run.stdout
    assert not won(given_away)


@pytest.mark.parametrize(
    "statement", ["create index on public.zoo_partly (m.pwn())", "create statistics m.s on (id + m.pwn()), value from public.zoo_partly"]
)
def test_no_code_comes_to_such_a_table_while_it_is_dumped(given_away: Cluster, statement: str) -> None:
    planting = f"set role mallory; set lock_timeout = '200ms'; {statement}"
    with filters_run_no_code(server_of(given_away), DATABASE, 5), pytest.raises(AssertionError, match="lock timeout"):
        given_away.psql(DATABASE, planting)
    given_away.psql(DATABASE, planting)
