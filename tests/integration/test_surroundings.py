"""Functions find in a restore what they find in the original, names without a schema and settings, and nobody else's code."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .support.binaries import extension_directory
from .support.cluster import Cluster
from .support.compare import assert_same_contents, assert_same_database
from .support.product import DONE, FAILED, Pgkeeper
from .support.round_trip import proven_restored_and_replaced

OWNER, OTHER = "namer", "other_namer"
FUNCTIONS = """
create function norm(text) returns text language sql immutable as 'select lower($1)';
create function slug(text) returns text language sql immutable as $$ select norm($1) || '-x' $$;
create function slow_slug(text) returns text language plpgsql immutable as 'begin return norm($1); end';
"""
ROWS = "create table t (a text); insert into t values ('A');"
USERS = {
    "index": "create index on t (slug(a));",
    "generated": "create table g (a text, s text generated always as (slug(a)) stored); insert into g values ('A');",
    "view": "create materialized view v as select slow_slug(a) from t;",
}
NAMED = {"CREATE INDEX t_slug_idx ON public.t": USERS["index"], "REFRESH MATERIALIZED VIEW public.v": USERS["view"]}
MAKERS = {"postgres": "", OWNER: f"grant create on schema public to {OWNER}; set role {OWNER};"}
SETTER = {"postgres": "database app", OWNER: f"role {OWNER} in database app"}
FOREIGN = f"""
reset role; create function norm(varchar) returns text language sql as 'select 1'; alter function norm(varchar) owner to {OTHER};
"""
# As postgis_topology looks for the usual path, pg_cron keeps rows of users apart, and periods guards privileges that it keeps alike.
EXTENSION = """
create function pgk_gave() returns text language sql immutable as 'select 1::text';
select pg_catalog.set_config('search_path', reset_val, true) from pg_catalog.pg_settings where name = 'search_path';
create table pgk_kept as select pgk_gave() as gave;
create table pgk_rows (line text);
alter table pgk_rows enable row level security;
create policy pgk_none on pgk_rows using (false);
select pg_catalog.pg_extension_config_dump('pgk_rows', '');
create function pgk_guard() returns event_trigger language plpgsql as $$
begin raise exception 'privileges are kept' ; end $$;
create event trigger pgk_guard on ddl_command_end when tag in ('GRANT', 'REVOKE') execute function pgk_guard();
"""


def users(cluster: Cluster) -> str:
    """What calls the functions. Since PostgreSQL 17 indexes and materialized views look nowhere without a schema, nor in the original."""
    ((narrow,),) = cluster.query("select current_setting('server_version_num')::int >= 170000")
    return ROWS + (USERS["generated"] if narrow else "".join(USERS.values()))


def needing_path(cluster: Cluster) -> list[str]:
    """How a warning names those of them that an empty path would not make; a generated column is a matter of its rows."""
    found = users(cluster)
    return [name for name, text in NAMED.items() if text in found]


@pytest.fixture
def keeper(pgkeeper: Pgkeeper) -> Iterator[Pgkeeper]:
    for role in (OWNER, OTHER):
        pgkeeper.cluster.execute(f"create role {role}")
    yield pgkeeper
    for database in pgkeeper.databases:
        pgkeeper.cluster.drop_database(database)
    for role in (OWNER, OTHER):
        pgkeeper.cluster.execute(f"drop role {role}")


@pytest.fixture
def extension() -> Iterator[str]:
    """An extension that falls back on the usual path, and lets nobody change privileges."""
    name = f"pgk_{os.getpid()}"
    files = {f"{name}.control": "default_version = '1'\nrelocatable = false\n", f"{name}--1.sql": EXTENSION}
    for file, text in files.items():
        (extension_directory() / file).write_text(text)
        (extension_directory() / file).chmod(0o644)
    yield name
    for file in files:
        (extension_directory() / file).unlink()


@pytest.mark.parametrize("maker", MAKERS)
def test_what_the_owner_finds_in_production_is_found_in_a_restore(keeper: Pgkeeper, maker: str) -> None:
    keeper.create_database("app", MAKERS[maker] + FUNCTIONS + users(keeper.cluster))
    backup_id = keeper.backup("app")
    proof = keeper("verify", backup_id, "--level", "restore").exits(DONE).output
    (warning,) = keeper.restore(backup_id, "--to", "beside")["warnings"]
    for name in needing_path(keeper.cluster):
        assert name in proof
        assert name in warning
    assert_same_contents(keeper.cluster, "app", "beside")
    statistics = "select attname from pg_stats where tablename = 't_slug_idx'"
    keeper.cluster.execute("analyze t", database="app")
    assert keeper.cluster.query(statistics, database="beside") == keeper.cluster.query(statistics, database="app")


def test_the_path_of_the_database_and_that_of_the_role_count(keeper: Pgkeeper) -> None:
    schemas = f"create schema one authorization {OWNER}; create schema two authorization {OWNER};"
    stored = f"alter database app set search_path = nowhere; alter role {OWNER} in database app set search_path = one, two;"
    keeper.create_database("app", f"{schemas}{stored}set role {OWNER}; set search_path = two;{FUNCTIONS}{users(keeper.cluster)}")
    keeper.restore(keeper.backup("app"), "--to", "beside")
    assert_same_contents(keeper.cluster, "app", "beside")


def test_the_path_that_a_role_has_in_every_database_counts(keeper: Pgkeeper) -> None:
    # As an application that installs itself as its own role leaves it: a function calls another without a schema, rows are checked by it.
    keeper.create_database(
        "app",
        f"""
        alter role {OWNER} set search_path = own, public; create schema own authorization {OWNER};
        set role {OWNER}; set search_path = own, public;
        create function known(text) returns boolean language plpgsql immutable as 'begin return helper($1) is not null; end';
        create function helper(text) returns text language sql immutable as $$ select nullif($1, '') $$;
        create table messages (id serial primary key, body text check (known(body))); insert into messages (body) values ('first');
        """,
    )
    proven_restored_and_replaced(keeper)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_name_without_a_schema_never_leads_to_code_of_a_third_role(keeper: Pgkeeper, maker: str) -> None:
    index = "create table t (a text); create index on t (slow_slug(a)); insert into t values ('A');"
    keeper.create_database("app", MAKERS[maker] + FUNCTIONS + index + FOREIGN)
    keeper.databases.add("beside_unverified")
    assert "norm(text) does not exist" in keeper("restore", keeper.backup("app"), "--to", "beside").exits(FAILED).error


def test_an_extension_finds_the_usual_path_and_what_it_guards_is_not_in_the_way(keeper: Pgkeeper, extension: str) -> None:
    privileges = f"create table t (a int); insert into t values (1); grant select on t to {OTHER}; revoke insert on t from postgres;"
    keeper.create_database(
        "app", f"{privileges}create extension {extension}; insert into pgk_rows values ('kept'); alter database app set work_mem = '5MB';"
    )
    backup_id = keeper.backup("app")
    keeper("verify", backup_id, "--level", "restore").exits(DONE)
    keeper.restore(backup_id, "--to", "beside")
    assert_same_database(keeper.cluster, "app", "beside")
    assert keeper.cluster.query("select line from pgk_rows", database="beside") == [("kept",)]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_check_finds_the_settings_of_the_database_and_of_the_role(keeper: Pgkeeper, maker: str) -> None:
    table = f"""
        set app.tenant = 'acme'; create table tenants (name text check (name = current_setting('app.tenant')));
        insert into tenants values ('acme'); alter {SETTER[maker]} set app.tenant = 'acme'; {MAKERS[maker]}
        create table own (name text check (name = current_setting('app.tenant'))); insert into own values ('acme');
    """
    keeper.create_database("app", f"alter database app set app.tenant = 'acme'; {table}")
    backup_id = keeper.backup("app")
    keeper("verify", backup_id, "--level", "restore").exits(DONE)
    keeper.restore(backup_id, "--to", "beside")
    assert_same_database(keeper.cluster, "app", "beside")


def test_nobody_has_the_settings_of_a_database_that_a_third_role_owns(keeper: Pgkeeper) -> None:
    table = (
        "set app.tenant = 'acme'; create table t (name text check (name = current_setting('app.tenant'))); insert into t values ('acme');"
    )
    stored = f"alter database app set app.tenant = 'a'; alter database app owner to {OTHER};"
    keeper.create_database("app", f"{stored} {MAKERS[OWNER]} {table}")
    assert "app.tenant" in keeper("restore", keeper.backup("app"), "--to", "beside").exits(FAILED).error
