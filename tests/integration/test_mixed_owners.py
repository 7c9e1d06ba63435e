"""Ordinary databases of several owners come back without anybody's word for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .support.product import DONE, Pgkeeper

OWNERS = ("parents", "children", "members")
PARTITIONS = """
create table {parent} (id int, k text, primary key (id)) partition by range (id); create index on {parent} (k);
create table {parent}_low partition of {parent} for values from (0) to (10);
create table {parent}_high (id int not null, k text);
insert into {parent}_high values (12, 'high');
alter table {parent} attach partition {parent}_high for values from (10) to (20);
insert into {parent} values (1, 'low');
alter table {parent} owner to {owner};
alter table {parent}_low owner to children; alter table {parent}_high owner to members;
"""
SCHEMAS = {
    "partitions of another owner's table": PARTITIONS.format(parent="measured", owner="parents"),
    "partitions of a superuser's table": PARTITIONS.format(parent="measured", owner="postgres"),
    "a superuser's partitions": PARTITIONS.format(parent="measured", owner="children") + "alter table measured_low owner to postgres;",
    "children of another owner's table": """
        create table kin (id int, check (id > 0)); create table kid (more text) inherits (kin); insert into kid values (1, 'x');
        alter table kin owner to parents; alter table kid owner to children;
        """,
    "tables where their owner may create nothing": """
        create schema shop; create table shop.t (id int primary key, at timestamptz default now()); insert into shop.t values (1);
        create index on shop.t ((id + 1)); create view shop.v as select id from shop.t; create sequence shop.s;
        grant usage on schema shop to children;
        alter table shop.t owner to children; alter view shop.v owner to children; alter sequence shop.s owner to children;
        """,
    "a key to another owner's table": """
        create table parent (id int primary key); create table child (id int references parent);
        insert into parent values (1); insert into child values (1);
        alter table parent owner to parents; alter table child owner to children; grant references on parent to children;
        """,
    "a trigger whose function nobody may call any more": """
        create function noted() returns trigger language plpgsql as 'begin return new; end'; create table t (id int);
        create trigger noted before insert on t for each row execute function noted();
        revoke execute on function noted() from public; alter table t owner to children; insert into t values (1);
        """,
    "views and materialized views over others' tables": """
        create table t (id int); insert into t values (1);
        create materialized view mv as select id from t; create view v as select id from mv;
        alter table t owner to parents; grant select on t to children;
        alter materialized view mv owner to children; alter view v owner to members; grant select on mv to members;
        """,
    "a table of a group": """
        create table t (id int primary key); insert into t values (1); alter table t owner to parents;
        create table own (id int references t); alter table own owner to members;
        """,
    "an owner who took its own rights away": """
        create table t (id int primary key); insert into t values (1); alter table t owner to children;
        revoke all on t from children; alter default privileges for role children grant select on tables to members;
        """,
}


@pytest.fixture
def owners(pgkeeper: Pgkeeper) -> Iterator[Pgkeeper]:
    """A pgkeeper on a cluster with three ordinary roles, one of them a member of another without its rights."""
    pgkeeper.cluster.psql("postgres", "create role parents; create role children login; create role members noinherit in role parents;")
    try:
        yield pgkeeper
    finally:
        for database in pgkeeper.databases:
            pgkeeper.cluster.drop_database(database)
        pgkeeper.cluster.psql("postgres", f"drop role {', '.join(OWNERS)};")


@pytest.mark.parametrize("script", SCHEMAS.values(), ids=SCHEMAS)
def test_a_database_of_several_owners_comes_back(owners: Pgkeeper, script: str) -> None:
    owners.create_database("mixed", script)
    backup_id = owners.backup("mixed")
    owners.databases.update({"mixed2", "mixed2_unverified"})
    report = owners.restore(backup_id, "--to", "mixed2")
    assert report["warnings"] == [], report
    whose = """
    select relname, pg_get_userbyid(relowner), array_to_string(coalesce(relacl, acldefault('r', relowner)), ' ') from pg_class
    where relnamespace::regnamespace::text !~ '^pg_|^information_schema' and relkind not in ('i', 'I', 'S') order by 1, 2
    """
    assert owners.cluster.query(whose, database="mixed2") == owners.cluster.query(whose, database="mixed")
    schemas = "select nspname, nspacl::text from pg_namespace where nspname !~ '^pg_' order by 1"
    assert owners.cluster.query(schemas, database="mixed2") == owners.cluster.query(schemas, database="mixed")
    owners("verify", backup_id, "--level", "restore").exits(DONE)
