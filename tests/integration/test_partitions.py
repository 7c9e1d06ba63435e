"""Rows of partitions come back wherever the host they come back on sorts them."""

from __future__ import annotations

import gzip

import pytest

from .support.history import newest
from .support.product import DONE, Pgkeeper

# Elsewhere than in the database `app` text sorts from its other end, as if a newer collation did.
TREE = """
create function place(text) returns text language sql immutable
    as $$ select case when current_database() = 'app' then $1 else reverse($1) end $$;
create table words (word text, n int) partition by range (place(word) collate "und-x-icu");
create table early partition of words for values from (minvalue) to ('m');
create table late (n int, word text);
alter table words attach partition late for values from ('m') to (maxvalue);
insert into words values ('ant', 1), ('zoo', 2), ('ax', 3), ('zebra', 4);
create table days (day date) partition by range (day);
create table november partition of days for values from ('2026-11-01') to ('2026-12-01');
insert into days values ('2026-11-30');
"""


def tables(pgkeeper: Pgkeeper, backup_id: str) -> dict[str, int]:
    manifest = pgkeeper("show", backup_id, "--json").exits(DONE).json["manifest"]
    return {table["name"]: table["rows"] for table in manifest["contents"]["tables"]}


def partitions(pgkeeper: Pgkeeper, database: str) -> set[tuple[str, str]]:
    rows = pgkeeper.cluster.query("select tableoid::regclass, word from words", database=database)
    return {(str(name), str(word)) for name, word in rows}


def test_rows_that_another_collation_sorts_into_other_partitions_are_restored_and_proven(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app", TREE)
    backup_id = pgkeeper.backup("app")
    assert tables(pgkeeper, backup_id) == {"words": 4, "days": 1}
    pgkeeper("verify", backup_id, "--level", "restore").exits(DONE)
    pgkeeper.restore(backup_id, "--to", "beside")
    assert partitions(pgkeeper, "app") == {("early", "ant"), ("late", "zoo"), ("early", "ax"), ("late", "zebra")}
    assert partitions(pgkeeper, "beside") == {("late", "ant"), ("late", "zoo"), ("late", "ax"), ("early", "zebra")}


def test_they_come_back_by_psql_alone(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app", TREE)
    pgkeeper.backup("app")
    pgkeeper.create_database("beside")
    script = gzip.decompress((newest(pgkeeper, "app") / "database.sql.gz").read_bytes())
    pgkeeper.cluster.psql("beside", script.decode())
    assert len(partitions(pgkeeper, "beside")) == 4


@pytest.mark.parametrize(
    "spoiled",
    [
        "alter table late owner to pg_monitor;",
        """create foreign data wrapper nowhere; create server far foreign data wrapper nowhere;
           create foreign table old partition of days for values from ('2025-01-01') to ('2025-02-01') server far;""",
    ],
    ids=["another's", "foreign"],
)
def test_where_a_root_must_not_be_loaded_the_backup_warns(pgkeeper: Pgkeeper, spoiled: str) -> None:
    pgkeeper.create_database("app", TREE + spoiled)
    run = pgkeeper("backup", "--database", "app").exits(DONE)
    assert "public.words: rows may belong to other partitions" in run.output
    assert tables(pgkeeper, newest(pgkeeper, "app").name) == {"early": 2, "late": 2, "november": 1}


def test_partitions_that_sort_alike_everywhere_are_dumped_each_by_itself(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app", TREE.replace("und-x-icu", "C"))
    assert tables(pgkeeper, pgkeeper.backup("app")) == {"early": 2, "late": 2, "november": 1}
