"""Functions that name others without a schema work in a restore as in the original, and lead to nobody else's code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .support.compare import assert_same_contents
from .support.product import DONE, FAILED, Pgkeeper

OWNER, OTHER = "namer", "other_namer"
FUNCTIONS = """
create function norm(text) returns text language sql immutable as 'select lower($1)';
create function slug(text) returns text language sql immutable as $$ select norm($1) || '-x' $$;
create function slow_slug(text) returns text language plpgsql immutable as 'begin return norm($1); end';
create table t (a text); insert into t values ('A');
"""
USERS = {
    "index": "create index on t (slug(a));",
    "generated": "create table g (a text, s text generated always as (slug(a)) stored); insert into g values ('A');",
    "view": "create materialized view v as select slow_slug(a) from t;",
}
MAKERS = {"postgres": "", OWNER: f"grant create on schema public to {OWNER}; set role {OWNER};"}
FOREIGN = (
    f"reset role; create function norm(varchar) returns text language sql as 'select 1'; alter function norm(varchar) owner to {OTHER};"
)


@pytest.fixture
def keeper(pgkeeper: Pgkeeper) -> Iterator[Pgkeeper]:
    for role in (OWNER, OTHER):
        pgkeeper.cluster.execute(f"create role {role}")
    yield pgkeeper
    for database in pgkeeper.databases:
        pgkeeper.cluster.drop_database(database)
    for role in (OWNER, OTHER):
        pgkeeper.cluster.execute(f"drop role {role}")


@pytest.mark.parametrize("maker", MAKERS)
def test_what_the_owner_finds_in_production_is_found_in_a_restore(keeper: Pgkeeper, maker: str) -> None:
    keeper.create_database("app", MAKERS[maker] + FUNCTIONS + "".join(USERS.values()))
    backup_id = keeper.backup("app")
    assert "warning" not in keeper("verify", backup_id, "--level", "restore").exits(DONE).output
    assert keeper.restore(backup_id, "--to", "beside")["warnings"] == []
    assert_same_contents(keeper.cluster, "app", "beside")
    statistics = "select attname from pg_stats where tablename = 't_slug_idx'"
    keeper.cluster.execute("analyze t", database="app")
    assert keeper.cluster.query(statistics, database="beside") == keeper.cluster.query(statistics, database="app")


def test_the_path_of_the_database_and_that_of_the_role_count(keeper: Pgkeeper) -> None:
    schemas = f"create schema one authorization {OWNER}; create schema two authorization {OWNER};"
    stored = f"alter database app set search_path = nowhere; alter role {OWNER} in database app set search_path = one, two;"
    keeper.create_database("app", f"{schemas}{stored}set role {OWNER}; set search_path = two;{FUNCTIONS}{''.join(USERS.values())}")
    keeper.restore(keeper.backup("app"), "--to", "beside")
    assert_same_contents(keeper.cluster, "app", "beside")


@pytest.mark.parametrize("maker", MAKERS)
def test_a_name_without_a_schema_never_leads_to_code_of_a_third_role(keeper: Pgkeeper, maker: str) -> None:
    keeper.create_database("app", MAKERS[maker] + FUNCTIONS + USERS["index"] + FOREIGN)
    assert "norm(text) does not exist" in keeper("restore", keeper.backup("app"), "--to", "beside").exits(FAILED).error
