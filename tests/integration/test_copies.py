"""Databases that pgkeeper made as copies are known as such, and nobody else's database is taken for one."""

from __future__ import annotations

import subprocess
from typing import Any

from psycopg import sql

from .support.product import DONE, FAILED, REFUSED, Pgkeeper


def status_of(pgkeeper: Pgkeeper) -> tuple[set[str], dict[str, list[dict[str, Any]]]]:
    """What is missed where it is not backed up, and what status says about each database."""
    report = pgkeeper("status", "--json").json
    said: dict[str, list[dict[str, Any]]] = {}
    for finding in report["findings"]:
        said.setdefault(finding["database"], []).append(finding)
    return {found["database"] for found in report["databases"] if found["wanted"]}, said


def all_databases(pgkeeper: Pgkeeper) -> set[str]:
    """What is missed where it is not backed up."""
    return status_of(pgkeeper)[0]


def restored(pgkeeper: Pgkeeper, *arguments: str) -> str:
    target = str(pgkeeper("restore", *arguments, "--json").exits(DONE).json["target"])
    pgkeeper.databases.add(target)
    return target


def rename(pgkeeper: Pgkeeper, name: str, to: str) -> None:
    pgkeeper.databases.add(to)
    pgkeeper.cluster.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(name), sql.Identifier(to)))


def forge_marks(pgkeeper: Pgkeeper, copy: str) -> None:
    """Set the mark on `real`: the copy's own as a superuser's restore of a dump would, and one made for it as an owner may."""
    (mark,) = pgkeeper.cluster.query(
        "select setconfig[1] from pg_db_role_setting s join pg_database d on d.oid = setdatabase where datname = %s", copy
    )
    value = str(mark[0]).partition("=")[2]
    oids = {str(name): oid for name, oid in pgkeeper.cluster.query("select datname, oid::text from pg_database")}
    forged = value.replace(f"/{oids[copy]}/{copy}", f"/{oids['real']}/real")
    assert forged != value
    pgkeeper.cluster.execute(sql.SQL('alter role postgres in database real set "pgkeeper"."copy" to {}').format(value))
    for whom in ("role mallory in database real", "database real"):
        pgkeeper.cluster.execute(sql.SQL('alter {} set "pgkeeper"."copy" to {}').format(sql.SQL(whom), forged))


# One restore serves all this: each one, and each call of the program, takes its second.
def test_a_restored_copy_is_known_as_such_until_its_owner_keeps_or_renames_it_and_no_other_database_can_be_marked(
    pgkeeper: Pgkeeper,
) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("real")
    copy = restored(pgkeeper, backup_id := pgkeeper.backup("app"))
    pgkeeper.cluster.execute("create role mallory")
    try:
        forge_marks(pgkeeper, copy)
        backed_up = {outcome["database"] for outcome in pgkeeper("backup", "--test", "--json").exits(DONE).json["outcomes"]}
        assert backed_up >= {"app", "real"}
        assert copy not in backed_up
        wanted, said = status_of(pgkeeper)
        assert wanted >= {"app", "real"}
        assert copy not in wanted
        (finding,) = said[copy]
        assert (finding["level"], finding["text"]) == ("remark", "a copy that pgkeeper made, so it is not backed up")
        assert f"`pgkeeper keep {copy}`" in finding["hint"]
    finally:
        pgkeeper.cluster.execute("alter role mallory in database real reset all")
        pgkeeper.cluster.execute("drop role mallory")
    rename(pgkeeper, copy, "renamed")
    assert "renamed" in all_databases(pgkeeper)
    rename(pgkeeper, "renamed", copy)
    # One that is named is backed up, whatever it is.
    pgkeeper("backup", "--test", "--database", copy).exits(DONE)
    assert pgkeeper("keep", copy, "--json").exits(DONE).json["changed"]
    assert not pgkeeper("keep", copy, "--json").exits(DONE).json["changed"]
    pgkeeper("keep", "no such").exits(FAILED)
    pgkeeper.cluster.drop_database("app")
    assert restored(pgkeeper, backup_id, "--to", "app") == "app"
    wanted, said = status_of(pgkeeper)
    assert wanted >= {"app", copy}
    assert any(finding["level"] == "problem" for finding in said[copy])


def test_what_a_replacement_and_its_undo_put_aside_is_a_copy_and_what_is_in_production_is_none(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    replaced = pgkeeper("restore", pgkeeper.backup("app"), "--replace", "--confirm", "RESTORE", "--json").exits(DONE).json["kept_as"]
    pgkeeper.databases.add(replaced)
    # Its owner may not take it for kept while it is closed, is never backed up and will be dropped.
    refused = pgkeeper("keep", replaced).exits(REFUSED).error
    opening = refused.partition("open it with `")[2].partition("`")[0]
    assert opening.startswith("runuser -u postgres -- psql ")
    subprocess.run(["bash", "-c", opening], check=True)
    found = all_databases(pgkeeper)
    assert "app" in found
    assert replaced not in found
    assert pgkeeper("keep", replaced, "--json").exits(DONE).json["changed"]
    pgkeeper.cluster.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(replaced)))
    undone = pgkeeper("restore", "--undo", "--confirm", "RESTORE", "--json").exits(DONE).json["kept_as"]
    pgkeeper.databases.add(undone)
    found = all_databases(pgkeeper)
    assert "app" in found
    assert undone not in found
