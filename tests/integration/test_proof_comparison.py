"""Whatever is not as it was backed up is noticed and named; rows in another order are the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg import sql

from pgkeeper.model.comparison import database_differences, role_differences
from pgkeeper.model.progress import NullProgress
from pgkeeper.operations.compare_database import compare_database
from pgkeeper.operations.places import local_store
from pgkeeper.postgres.dump import Dumper
from pgkeeper.postgres.facts import read_cluster, read_database
from pgkeeper.postgres.server import Server
from pgkeeper.settings import load_settings
from pgkeeper.stores.local_copy import LocalCopy

from .conftest import assert_nothing_left
from .support.binaries import major_version
from .support.cluster import Cluster
from .support.product import Pgkeeper
from .support.workspace import Workspace

SCRIPT = """
create table authors (id int primary key, name text not null default 'nobody');
create table books (id int primary key, author int references authors, title text, check (title <> ''));
create index books_by_title on books (title);
insert into authors select n, 'author ' || n from generate_series(1, 200) n;
insert into books select n, n, 'book ' || n from generate_series(1, 200) n;
create sequence counter; select nextval('counter');
select lo_from_bytea(4712, 'large');
create view short as select id from books where length(title) < 10;
create function twice(n int) returns int language sql as 'select 2 * n';
create function noted() returns trigger language plpgsql as 'begin return new; end';
create trigger noted before insert on books for each row execute function noted();
create materialized view counted as select count(*) as n from books;
create type mood as enum ('good', 'bad');
create policy mine on books using (true);
comment on table books is 'all of them';
grant select on books to public;
alter table books cluster on books_by_title;
"""
ALTERATIONS = {
    "drop index books_by_title": "books_by_title",
    "drop index books_by_title; create index books_by_title on books (title desc)": "books_by_title",
    "alter index books_by_title rename to other": "books_by_title",
    "alter table books drop constraint books_author_fkey": "books_author_fkey",
    "alter table books drop constraint books_title_check": "books",
    "alter table authors drop constraint authors_pkey cascade": "authors_pkey",
    "alter table authors alter name set default 'somebody'": "authors",
    "alter table authors alter name drop not null": "authors",
    "alter table authors alter name type varchar": "authors",
    "alter table authors add more int": "authors",
    "alter table books set (fillfactor = 50)": "books",
    "alter table books enable row level security": "books",
    "alter policy mine on books using (false)": "mine",
    "select nextval('counter')": "sequence public.counter: at 2, promised 1",
    "alter sequence counter increment 2": "counter",
    "select lo_put(4712, 0, 'L')": "large objects",
    "select lo_unlink(4712)": "large objects",
    "select lo_from_bytea(4713, '')": "large objects",
    "alter large object 4712 owner to pg_monitor": "4712",
    "update books set title = 'Book 7' where id = 7": "table public.books: 200 rows, but their content differs",
    "delete from books where id = 7": "table public.books: 199 rows found, 200 promised",
    "drop table books cascade": "table public.books: missing",
    "create table stray ()": "stray",
    "create or replace view short as select id from books where length(title) < 11": "short",
    "create or replace function twice(n int) returns int language sql as 'select n + n'": "twice",
    "alter function twice security definer": "twice",
    "drop trigger noted on books": "noted",
    "alter table books disable trigger noted": "noted",
    "drop materialized view counted; create materialized view counted as select count(*) as n from books with no data": "counted",
    "alter type mood add value 'fair'": "mood",
    "comment on table books is 'some of them'": "books",
    "revoke select on books from public": "books",
    "grant insert on books to public": "books",
    "alter table books owner to pg_monitor": "books",
    "alter default privileges grant select on tables to public": "PRIVILEGES",
    "create schema stray": "stray",
    "create publication stray": "stray",
    "create statistics stray on id, title from books": "stray",
}
REORDERINGS = {
    "updates": "update books set title = title where id % 3 = 0",
    "free space": "delete from books where id < 50; vacuum books;"
    " insert into books select n, n, 'book ' || n from generate_series(49, 1, -1) n",
    "clustering": "cluster books",
}


@pytest.fixture(scope="module")
def keeper(cluster: Cluster, workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper with one backup of `library`."""
    product = Pgkeeper(cluster, workspace.path / "comparison")
    product.create_database("library", SCRIPT)
    product.backup("library")
    yield product
    assert_nothing_left(product)
    cluster.drop_database("library")


@pytest.fixture(scope="module")
def backup(keeper: Pgkeeper) -> LocalCopy:
    """That backup."""
    store = local_store(load_settings({"PGKEEPER_ENV_FILE": str(keeper.settings_file)}))
    return store.backups()[0]


@contextmanager
def altered(keeper: Pgkeeper, statements: str) -> Iterator[str]:
    """A copy of the library in which `statements` were run, one by one."""
    name = "altered library"
    keeper.cluster.execute(sql.SQL("create database {} template library").format(sql.Identifier(name)))
    try:
        with keeper.cluster.connect(name) as session:
            for statement in statements.split("; "):
                session.execute(statement.encode())
        yield name
    finally:
        keeper.cluster.drop_database(name)


def differences(keeper: Pgkeeper, backup: LocalCopy, database: str) -> tuple[str, ...]:
    """What a restore or a proof would say about `database`."""
    dumper = Dumper(server(keeper), database, major_version(), "test-bed", 60, NullProgress())
    return compare_database(dumper, backup, backup.manifest(), NullProgress(), with_schema=True)


def server(keeper: Pgkeeper) -> Server:
    """How this session, which is root, reaches the test's cluster."""
    return Server({**keeper.cluster.environment(), "PGUSER": "postgres"})


def test_an_untouched_copy_is_equal(keeper: Pgkeeper, backup: LocalCopy) -> None:
    with altered(keeper, "select 1") as name:
        assert differences(keeper, backup, name) == ()


@pytest.mark.parametrize(("statements", "named"), ALTERATIONS.items(), ids=ALTERATIONS)
def test_an_alteration_is_noticed_and_named(keeper: Pgkeeper, backup: LocalCopy, statements: str, named: str) -> None:
    with altered(keeper, statements) as name:
        lines = differences(keeper, backup, name)
    assert any(named in line for line in lines), lines


@pytest.mark.parametrize("statements", REORDERINGS.values(), ids=REORDERINGS)
def test_rows_in_another_order_are_the_same_rows(keeper: Pgkeeper, backup: LocalCopy, statements: str) -> None:
    with altered(keeper, statements) as name:
        ordered = "select string_agg(id::text, ' ') from only books"
        assert keeper.cluster.query(ordered, database=name) != keeper.cluster.query(ordered, database="library"), "nothing was reordered"
        assert differences(keeper, backup, name) == ()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("comment on database {} is 'changed'", "comment"),
        ("alter database {} owner to pg_monitor", "owner"),
        ("alter database {} connection limit 7", "connection limit"),
        ("alter database {} is_template true", "is template"),
        ("alter database {} set work_mem = '7MB'", "work_mem"),
        ("revoke connect on database {} from public", "privileges"),
        ("grant create on database {} to pg_monitor", "privileges"),
    ],
)
def test_a_property_of_the_database_is_noticed_and_named(keeper: Pgkeeper, backup: LocalCopy, statement: str, named: str) -> None:
    with altered(keeper, "select 1") as name:
        keeper.cluster.execute(sql.SQL(statement).format(sql.Identifier(name)))
        with server(keeper).connect_maintenance() as session, server(keeper).connect(name) as inside:
            lines = database_differences(backup.manifest().database, read_database(session, inside, name))
    assert any(named in line for line in lines), lines


def test_a_role_that_changed_is_noticed_and_named(keeper: Pgkeeper) -> None:
    with server(keeper).connect_maintenance() as session:
        keeper.cluster.psql("postgres", "create role changing; create role going in role changing;")
        before = read_cluster(session, "here")
        assert role_differences(before, before) == ()
        keeper.cluster.psql("postgres", "alter role changing createdb; drop role going;")
        after = read_cluster(session, "here")
        keeper.cluster.psql("postgres", "drop role changing;")
    assert role_differences(before, after) == (
        "role changing: its attributes differ",
        "role going: missing",
        "role going: is no member of changing any more",
    )
