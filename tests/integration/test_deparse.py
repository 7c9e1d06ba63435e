"""PostgreSQL prints a definition in another way after a reload: that is no damage, and a definition that changed is."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql

from .conftest import assert_nothing_left
from .support.binaries import server_binary
from .support.cluster import PINNED_OPTIONS, Cluster, dbname
from .support.compare import dump
from .support.history import newest
from .support.product import DONE, INTEGRITY, Pgkeeper
from .support.tampering import DATABASE_FILE, SCHEMA_FILE, compressed, exchange, put_back
from .support.user import run_as_service_user
from .support.workspace import Workspace

SCRIPTS = Path(__file__).parent / "deparse"
THEMES = ("printed_otherwise", "inherited_columns")
CONFIRMED = ("--replace", "--confirm", "RESTORE")

# What is changed, one object at a time, and the name by which a person finds it.
CHANGES = {
    "alter table paper drop constraint paper_size_check, add constraint paper_size_check check (size in ('a4', 'a6'))": "paper",
    "alter table paper drop constraint state_not_lost, add constraint state_not_lost check (state not in ('lost'))": "paper",
    "alter table paper drop constraint paper_price_check, add constraint paper_price_check check (price in (1, 2.5, 3))": "paper",
    "alter table lists drop constraint lists_a_check, add constraint lists_a_check check (a = any ('{a,c}'::varchar[]))": "lists",
    "alter domain colour drop constraint colour_check;"
    " alter domain colour add constraint colour_check check (value in ('red', 'green'))": "colour",
    "drop index parcels_wanted; create index parcels_wanted on parcels (number) where kind in ('a', 'c')": "parcels_wanted",
    "drop index parcels_known; create index parcels_known on parcels ((kind in ('a', 'c')))": "parcels_known",
    "drop statistics parcels_seen; create statistics parcels_seen on (kind in ('a', 'c')), number from parcels": "parcels_seen",
    "alter table parcels drop constraint parcels_apart,"
    " add constraint parcels_apart exclude using gist (during with &&) where (kind in ('a', 'c'))": "parcels_apart",
    "alter policy letters_shown on letters using (kind in ('a', 'c'))": "letters_shown",
    "create or replace trigger stamps_wanted before insert on stamps for each row when (new.kind in ('a', 'c'))"
    " execute function stamps_noted()": "stamps_wanted",
    "create or replace rule stamps_copied as on insert to stamps where new.kind in ('a', 'c')"
    " do also insert into stamped values (new.number)": "stamps_copied",
    "alter table cards drop known; alter table cards add known boolean generated always as (kind in ('a', 'c')) stored": "cards",
    "alter table defaults alter tags set default array['x', 'z']": "defaults",
    "alter table shelves detach partition shelves_first; alter table shelves attach partition shelves_first for values in ('a', 'c')": (
        "shelves_first"
    ),
    'alter table names alter first type text collate "POSIX"': "names",
    "alter table names alter second type varchar(21)": "names",
    "alter table trees alter a set default 6": "trees",
    "create or replace function greeting(who varchar default 'x', tags text[] default array['a', 'c']::varchar[], n int default 1 + 1)"
    " returns int language sql as 'select 1'": "greeting",
    "create or replace function is_known(kind varchar) returns boolean"
    " language sql begin atomic select kind in ('a', 'c'); end": "is_known",
    "create or replace view letters_known as select * from letters where kind in ('a', 'c')": "letters_known",
    "create or replace view letters_named as select case when kind in ('a', 'b') then 'y' else kind end as name from letters": (
        "letters_named"
    ),
    "drop view union_of_null; create view union_of_null as select null::int as b, 1 as a union all select 3, 2": "union_of_null",
    "create or replace view union_of_bare_null as select x, y from left_side union all select x, 0 from right_side": "union_of_bare_null",
    "create or replace view joined_outer as"
    " select left_side.*, right_side.x as other from left_side right join right_side on left_side.x = right_side.x": "joined_outer",
}


@dataclass
class Library:
    """A pgkeeper with one backup of the database `printed_otherwise`, and a copy of that backup's directory."""

    keeper: Pgkeeper
    backup: Path
    whole: Path

    def schema_dump(self, database: str) -> bytes:
        """What a backup of `database` keeps as its schema."""
        path = f"{self.keeper.home}/schema.dump"
        arguments = ["--format=custom", "--schema-only", "--encoding=UTF8", "-f", path, "-d", dbname(database)]
        environment = {"PATH": "/usr/bin:/bin", "PGOPTIONS": PINNED_OPTIONS, **self.keeper.cluster.environment()}
        done = run_as_service_user([server_binary("pg_dump"), *arguments], environment)
        assert done.returncode == 0, done.stderr
        return Path(path).read_bytes()

    @contextmanager
    def holding(self, files: dict[str, bytes]) -> Iterator[str]:
        """The backup with other files in it, by its id; whole again afterwards."""
        exchange(self.keeper, self.backup, files)
        try:
            yield self.backup.name
        finally:
            put_back(self.keeper, self.backup, self.whole)
            for database in self.keeper.cluster.databases():
                if database.startswith("changed"):
                    self.keeper.cluster.drop_database(database)

    @contextmanager
    def changed(self, *statements: str) -> Iterator[str]:
        """A copy of the database in which `statements` were run."""
        self.keeper.cluster.execute("create database edited template printed_otherwise")
        try:
            for statement in statements:
                self.keeper.cluster.psql("edited", statement)
            yield "edited"
        finally:
            self.keeper.cluster.drop_database("edited")


@pytest.fixture(scope="module")
def library(cluster: Cluster, workspace: Workspace) -> Iterator[Library]:
    keeper = Pgkeeper(cluster, workspace.path / "deparse")
    keeper.create_database(THEMES[0], script(THEMES[0]))
    keeper.backup(THEMES[0])
    backup = newest(keeper, THEMES[0])
    whole = keeper.home / "whole"
    shutil.copytree(backup, whole)
    yield Library(keeper, backup, whole)
    assert_nothing_left(keeper)
    for database in keeper.databases:
        cluster.drop_database(database)


def script(theme: str) -> str:
    return (SCRIPTS / f"{theme}.sql").read_text()


def rows(pgkeeper: Pgkeeper, database: str) -> dict[str, list[str]]:
    """The rows of every table with their columns' names, sorted."""
    found = {}
    tables = "select c.oid::regclass::text from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace"
    for (table,) in pgkeeper.cluster.query(tables, database=database):
        of_table = sql.SQL("select (select jsonb_object_agg(key, value)::text from jsonb_each(to_jsonb(t))) from only {} t")
        found[str(table)] = sorted(
            str(row) for (row,) in pgkeeper.cluster.query(of_table.format(sql.Identifier(str(table))), database=database)
        )
    return found


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_only_printed_otherwise_is_proven_and_restored(pgkeeper: Pgkeeper, theme: str) -> None:
    pgkeeper.create_database(theme, script(theme))
    before = rows(pgkeeper, theme)
    backup_id = pgkeeper.backup(theme)
    pgkeeper("verify", backup_id, "--level", "restore").exits(DONE)
    pgkeeper.restore(backup_id, "--to", f"{theme}_beside")
    assert rows(pgkeeper, f"{theme}_beside") == before
    pgkeeper.databases.add(pgkeeper("restore", backup_id, *CONFIRMED, "--json").exits(DONE).json["kept_as"])
    assert rows(pgkeeper, theme) == before
    # What was restored is printed in the new way, and is a database like any other.
    pgkeeper("verify", pgkeeper.backup(theme), "--level", "restore").exits(DONE)


@pytest.mark.parametrize("theme", THEMES)
def test_a_reload_prints_it_otherwise(pgkeeper: Pgkeeper, theme: str) -> None:
    pgkeeper.create_database(theme, script(theme))
    first = dump(pgkeeper.cluster, theme)
    pgkeeper.create_database("reloaded", "")
    pgkeeper.cluster.psql("reloaded", first)
    assert statements(dump(pgkeeper.cluster, "reloaded")) != statements(first), "this theme tests nothing"


def statements(text: bytes) -> list[bytes]:
    return [line for line in text.splitlines() if not line.startswith((b"\\restrict", b"\\unrestrict"))]


def test_other_bytes_of_the_same_schema_are_the_same(library: Library) -> None:
    with library.changed("select 1") as database:
        files = {SCHEMA_FILE: library.schema_dump(database)}
    with library.holding(files) as backup_id:
        library.keeper("verify", backup_id, "--level", "restore").exits(DONE)


@pytest.mark.parametrize(("change", "named"), CHANGES.items(), ids=[*CHANGES.values()])
def test_an_object_that_really_changed_is_noticed_and_named(library: Library, change: str, named: str) -> None:
    with library.changed(change) as database:
        files = {SCHEMA_FILE: library.schema_dump(database)}
    with library.holding(files) as backup_id:
        for arguments in (("verify", backup_id, "--level", "restore"), ("restore", backup_id, "--to", "changed")):
            assert named in library.keeper(*arguments).exits(INTEGRITY).error
        assert "changed" not in library.keeper.cluster.databases()


@pytest.mark.parametrize("with_schema_dump", [False, True], ids=["database.sql.gz", "both files"])
def test_a_dump_that_really_changed_is_noticed(library: Library, with_schema_dump: bool) -> None:
    with library.changed(next(iter(CHANGES))) as database:
        files = {DATABASE_FILE: compressed(dump(library.keeper.cluster, database))}
        if with_schema_dump:
            files[SCHEMA_FILE] = library.schema_dump(database)
    with library.holding(files) as backup_id:
        for arguments in (("verify", backup_id, "--level", "restore"), ("restore", backup_id, "--to", "changed")):
            assert library.keeper(*arguments).exits(INTEGRITY).error


@pytest.mark.parametrize(
    "instead", [b"6\t12\t3\t", b"6\t2\t12\t", b"12\t6\t2\t"], ids=["another value", "the last two exchanged", "the first two exchanged"]
)
def test_a_value_of_a_column_that_moves_is_noticed_when_it_changed(pgkeeper: Pgkeeper, instead: bytes) -> None:
    pgkeeper.create_database("moving", script("inherited_columns"))
    backup_id = pgkeeper.backup("moving")
    backup = newest(pgkeeper, "moving")
    text = gzip.decompress((backup / DATABASE_FILE).read_bytes())
    assert text.count(b"\n6\t12\t2\t") == 1
    exchange(pgkeeper, backup, {DATABASE_FILE: compressed(text.replace(b"\n6\t12\t2\t", b"\n" + instead))})
    for arguments in (("verify", backup_id, "--level", "restore"), ("restore", backup_id, "--to", "moved")):
        assert "lorries" in pgkeeper(*arguments).exits(INTEGRITY).error
        pgkeeper.cluster.drop_database("moved_unverified")
