"""A check that cannot be made says nothing about the backup; one that only a restore failed says that the data is right."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from .support.hindrance import small_disk
from .support.history import aged_copy, newest, settled
from .support.manifests import replace_file
from .support.product import CONFIGURATION, DONE, FAILED, INTEGRITY, Pgkeeper

DAMAGE = "damage.json"


def record(directory: Path) -> dict[str, object] | None:
    """What is remembered of damage."""
    file = directory / DAMAGE
    return dict(json.loads(file.read_bytes())) if file.exists() else None


def test_too_little_space_for_a_proof_is_no_damage(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    place = pgkeeper.home / "small"
    place.mkdir(mode=0o755)
    with small_disk(place, 65536):
        pgkeeper.configure(BACKUP_PROOF_DIR=str(place / "proofs"))
        run = pgkeeper("verify", backup_id, "--level", "restore").exits(FAILED)
        outcome = pgkeeper("verify", backup_id, "--level", "restore", "--json").exits(FAILED).outcome("app")
    assert f"backup {backup_id} could not be proven: there is too little space for a proof" in run.error
    assert "its checksums and contents are right" in run.error
    assert outcome["status"] == "undecided"
    assert record(newest(pgkeeper, "app")) is None
    (listed,) = pgkeeper("list", "--json").exits(DONE).json["backups"]
    assert (listed["problem"], listed["difference"]) == ("", "")


@pytest.mark.parametrize("level", ["checksum", "contents"])
def test_a_backup_that_another_version_made_or_that_may_not_be_read_is_not_damaged(pgkeeper: Pgkeeper, level: str) -> None:
    from pgkeeper.model import manifest

    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    directory = newest(pgkeeper, "app")
    whole = (directory / "manifest.json").read_bytes()
    data = json.loads(whole)
    del data["checksum"]
    data["format"] = "pgkeeper.manifest/99"
    (directory / "manifest.json").write_bytes(manifest._canonical({**data, "checksum": manifest._checksum(data)}))
    run = pgkeeper("verify", backup_id, "--level", level).exits(FAILED)
    assert "another version of pgkeeper" in run.error
    assert record(directory) is None
    assert "pgkeeper delete" not in pgkeeper("status").stdout
    (directory / "manifest.json").write_bytes(whole)
    (directory / "database.sql.gz").chmod(0)
    run = pgkeeper("verify", backup_id, "--level", level).exits(FAILED)
    assert "could not be checked: database.sql.gz cannot be read" in run.error
    assert record(directory) is None


def backup_whose_schema_is_anothers(pgkeeper: Pgkeeper) -> Path:
    """A backup with right contents, and the schema.dump of a later one: what it restores has one index too many."""
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    first = newest(pgkeeper, "app")
    pgkeeper.cluster.psql("app", "create index later_index on t (n);")
    later_id = pgkeeper.backup("app")
    replace_file(first, "schema.dump", (newest(pgkeeper, "app") / "schema.dump").read_bytes())
    pgkeeper("delete", later_id, "--confirm", "DELETE").exits(DONE)
    return first


def test_only_a_restore_that_differs_leaves_the_backup_a_good_one(pgkeeper: Pgkeeper) -> None:
    current = backup_whose_schema_is_anothers(pgkeeper)
    older = [aged_copy(pgkeeper, current, timedelta(days=days)) for days in (30, 40, 50)]
    settled(pgkeeper)
    pgkeeper("verify", current.name, "--level", "contents").exits(DONE)
    run = pgkeeper("verify", current.name, "--level", "restore").exits(INTEGRITY)
    assert "later_index" in run.error
    assert "keep it: its checksums and contents are right" in run.error
    assert "pgkeeper delete" not in run.error
    assert record(current) is not None
    found = record(current) or {}
    assert (found["level"], found["contents_right"]) == ("restore", True)
    shown = pgkeeper("status", "--json").exits(FAILED).json
    (hint,) = [finding["hint"] for finding in shown["findings"] if "later_index" in finding["text"]]
    assert hint.startswith("keep it")
    assert shown["databases"][0]["backup_id"] == current.name
    listed = pgkeeper("list", "--json").exits(DONE).json["backups"]
    assert ["later_index" in each["difference"] for each in listed] == [True, False, False, False]
    assert listed[0]["problem"] == ""
    assert list(listed[0]["verified"]) == ["contents"]
    assert "DIFFERS" in pgkeeper("list").stdout
    # It counts as a fresh backup, and costs none of the three others its place.
    report = pgkeeper("expire", "--dry-run", "--json").exits(DONE).json["databases"][0]
    assert report["refused"] == ""
    kept = {decision["backup_id"] for decision in report["decisions"] if decision["keep"]}
    assert kept == {current.name, *(path.name for path in older)}
    for level in ("checksum", "contents"):
        pgkeeper("verify", current.name, "--level", level).exits(DONE)
        assert record(current) is not None


@pytest.mark.parametrize("content", ["cut", "foreign"])
def test_a_schema_that_pg_restore_cannot_read_is_damage_and_not_a_failure(pgkeeper: Pgkeeper, content: str) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    directory = newest(pgkeeper, "app")
    whole = (directory / "schema.dump").read_bytes()
    replace_file(directory, "schema.dump", whole[: len(whole) // 2] if content == "cut" else b"create table t ();\n" * 99)
    run = pgkeeper("verify", backup_id, "--level", "restore").exits(INTEGRITY)
    assert "schema.dump is no whole archive" in run.error
    assert "keep it: its checksums and contents are right" in run.error
    assert "schema.dump is no whole archive" in pgkeeper("restore", backup_id, "--to", "beside").exits(INTEGRITY).error
    assert "beside" not in pgkeeper.cluster.databases()


def test_settings_that_make_a_proof_impossible_are_no_damage(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    pgkeeper.configure(BACKUP_PROOF_DIR=str(pgkeeper.home / ("long" * 30)))
    run = pgkeeper("verify", backup_id, "--level", "restore").exits(CONFIGURATION)
    assert "could not be proven" in run.error
    assert record(newest(pgkeeper, "app")) is None
