"""Databases that pgkeeper made as copies are known as such, and nobody else's database is taken for one."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from .support.product import DONE, FAILED, Pgkeeper


def all_databases(pgkeeper: Pgkeeper) -> set[str]:
    """What is missed where it is not backed up."""
    return {found["database"] for found in pgkeeper("status", "--json").json["databases"] if found["wanted"]}


def said_of(pgkeeper: Pgkeeper, database: str) -> list[dict[str, Any]]:
    """What status says about one database."""
    return [finding for finding in pgkeeper("status", "--json").json["findings"] if finding["database"] == database]


def restored(pgkeeper: Pgkeeper, *arguments: str) -> str:
    target = str(pgkeeper("restore", *arguments, "--json").exits(DONE).json["target"])
    pgkeeper.databases.add(target)
    return target


def test_a_restored_copy_is_listed_and_neither_backed_up_nor_missed_until_its_owner_keeps_it(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    copy = restored(pgkeeper, pgkeeper.backup("app"))
    backed_up = {outcome["database"] for outcome in pgkeeper("backup", "--test", "--json").exits(DONE).json["outcomes"]}
    assert "app" in backed_up
    assert copy not in backed_up
    assert copy not in all_databases(pgkeeper)
    (finding,) = said_of(pgkeeper, copy)
    assert (finding["level"], finding["text"]) == ("remark", "a copy that pgkeeper made, so it is not backed up")
    backup_id = pgkeeper.backup(copy)
    pgkeeper("delete", backup_id, "--confirm", "DELETE").exits(DONE)
    assert pgkeeper("keep", copy, "--json").exits(DONE).json["changed"]
    assert not pgkeeper("keep", copy, "--json").exits(DONE).json["changed"]
    pgkeeper("keep", "no such").exits(FAILED)
    assert copy in all_databases(pgkeeper)
    assert any(finding["level"] == "problem" for finding in said_of(pgkeeper, copy))


def test_a_copy_that_its_owner_renamed_or_that_has_its_originals_name_is_a_database_of_its_own(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    copy = restored(pgkeeper, backup_id)
    pgkeeper.cluster.drop_database("app")
    assert restored(pgkeeper, backup_id, "--to", "app") == "app"
    pgkeeper.cluster.execute(sql.SQL("alter database {} rename to renamed").format(sql.Identifier(copy)))
    pgkeeper.databases.add("renamed")
    assert all_databases(pgkeeper) >= {"app", "renamed"}


def test_what_a_replacement_and_its_undo_put_aside_is_a_copy_and_what_is_in_production_is_none(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    replaced = pgkeeper("restore", pgkeeper.backup("app"), "--replace", "--confirm", "RESTORE", "--json").exits(DONE).json["kept_as"]
    pgkeeper.databases.add(replaced)
    pgkeeper.cluster.execute(sql.SQL("alter database {} allow_connections true").format(sql.Identifier(replaced)))
    found = all_databases(pgkeeper)
    assert "app" in found
    assert replaced not in found
    pgkeeper.cluster.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(replaced)))
    undone = pgkeeper("restore", "--undo", "--confirm", "RESTORE", "--json").exits(DONE).json["kept_as"]
    pgkeeper.databases.add(undone)
    found = all_databases(pgkeeper)
    assert "app" in found
    assert undone not in found


def test_no_owner_can_mark_a_database_as_a_copy_or_carry_the_mark_to_another(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("real")
    copy = restored(pgkeeper, pgkeeper.backup("app"))
    (mark,) = pgkeeper.cluster.query(
        "select setconfig[1] from pg_db_role_setting s join pg_database d on d.oid = setdatabase where datname = %s", copy
    )
    value = str(mark[0]).partition("=")[2]
    oids = {str(name): oid for name, oid in pgkeeper.cluster.query("select datname, oid::text from pg_database")}
    forged = value.replace(f"/{oids[copy]}/{copy}", f"/{oids['real']}/real")
    assert forged != value
    # What a superuser's restore of a dump would set, and what an owner may set for the own role and for everyone.
    pgkeeper.cluster.execute(sql.SQL('alter role postgres in database real set "pgkeeper"."copy" to {}').format(value))
    pgkeeper.cluster.execute("create role mallory")
    try:
        for whom in ("role mallory in database real", "database real"):
            pgkeeper.cluster.execute(sql.SQL('alter {} set "pgkeeper"."copy" to {}').format(sql.SQL(whom), forged))
        assert "real" in all_databases(pgkeeper)
    finally:
        pgkeeper.cluster.execute("alter role mallory in database real reset all")
        pgkeeper.cluster.execute("drop role mallory")
