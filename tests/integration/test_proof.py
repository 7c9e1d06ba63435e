"""A proof is a real restore, compared with the backup, and leaves nothing but its verdict."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from .conftest import assert_nothing_left
from .support.cluster import Cluster
from .support.history import aged, settled
from .support.product import BUSY, DONE, INTEGRITY, Pgkeeper, Running
from .support.user import service_ids
from .support.visitors import nobody_visits
from .support.workspace import Workspace

SCRIPT = """
create table t as select n, md5(n::text) as t from generate_series(1, 300) n;
create index on t (n);
create materialized view m as select count(*) from t;
select lo_from_bytea(4711, 'large');
"""


@pytest.fixture(scope="module")
def keeper(cluster: Cluster, workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper with a backup of each of two databases."""
    product = Pgkeeper(cluster, workspace.path / "proofs")
    for name in ("one", "two"):
        product.create_database(name, SCRIPT)
        product.backup(name)
    yield product
    assert_nothing_left(product)
    for name in ("one", "two"):
        cluster.drop_database(name)


def newest(keeper: Pgkeeper, database: str) -> str:
    """Id of the newest backup of a database."""
    return max(path.name for path in keeper.published() if path.parent.name == database)


def verified(keeper: Pgkeeper, backup_id: str) -> dict[str, str]:
    """What `list` says about the checks that a backup passed."""
    backups = keeper("list", "--json").exits(DONE).json["backups"]
    return next(dict(backup["verified"]) for backup in backups if backup["backup_id"] == backup_id)


def place(keeper: Pgkeeper, backup_id: str) -> Path:
    """Where a backup lies."""
    return next(path for path in keeper.published() if path.name == backup_id)


def test_a_proven_backup_is_told_as_such_everywhere(keeper: Pgkeeper) -> None:
    with nobody_visits(keeper.cluster):
        run = keeper("verify", newest(keeper, "one"), "--level", "restore", "--json").exits(DONE)
    outcome = run.outcome("one")
    phases = {"make cluster", "check backup", "load data", "indexes and constraints", "compare and analyze", "open"}
    assert phases <= outcome["phases"].keys()
    assert 0 < outcome["recovery_seconds"] < outcome["seconds"]
    assert outcome["server_version"]
    assert (outcome["tables"], outcome["rows"], outcome["warnings"]) == (1, 300, [])
    backup_id = outcome["backup_id"]
    proof = json.loads((place(keeper, backup_id) / "proof-restore.json").read_text())
    assert proof["backup_id"] == backup_id
    assert proof["recovery_seconds"] == outcome["recovery_seconds"]
    assert verified(keeper, backup_id)["restore"] == proof["finished_at"]
    assert "restore" in keeper("show", backup_id).exits(DONE).stdout


def test_databases_are_proven_side_by_side_and_not_again_before_their_time(keeper: Pgkeeper) -> None:
    run = keeper("verify", "latest", "--level", "restore", "--json").exits(DONE)
    assert [run.outcome(name)["status"] for name in ("one", "two")] == ["done", "done"]
    again = keeper("verify", "latest", "--level", "restore", "--if-older-than", "1d", "--json").exits(DONE)
    assert [again.outcome(name)["status"] for name in ("one", "two")] == ["skipped", "skipped"]
    one = keeper("verify", "latest", "--database", "two", "--level", "restore", "--if-older-than", "0h", "--json").exits(DONE)
    assert [outcome["status"] for outcome in one.json["outcomes"]] == ["done"]


def test_a_person_reads_that_it_is_proven_and_how_long_recovery_takes(keeper: Pgkeeper) -> None:
    run = keeper("verify", newest(keeper, "one"), "--level", "restore").exits(DONE)
    assert "proven" in run.stdout
    assert "recovery took" in run.stdout


def hold(running: Running) -> None:
    """Stop a proof in the middle: it goes on after SIGCONT."""
    running.wait_for_child("postgres")
    running.signal(signal.SIGSTOP)


def test_a_backup_that_is_being_proven_cannot_be_removed(keeper: Pgkeeper) -> None:
    backup_id = newest(keeper, "two")
    with keeper.start("verify", backup_id, "--level", "restore") as running:
        hold(running)
        refused = keeper("delete", backup_id, "--confirm", "DELETE").exits(BUSY)
        assert backup_id in refused.error
        busy = keeper("verify", newest(keeper, "one"), "--level", "restore").exits(BUSY)
        assert str(running.pid) in busy.error
        running.signal(signal.SIGCONT)
        running.result().exits(DONE)


def test_a_backup_that_is_being_proven_does_not_expire(keeper: Pgkeeper) -> None:
    for _ in range(4):
        keeper.backup("one")
    old = aged(min((path for path in keeper.published() if path.parent.name == "one"), key=lambda path: path.name), timedelta(days=99)).name
    settled(keeper)
    with keeper.start("verify", old, "--level", "restore") as running:
        hold(running)
        report = keeper("expire", "--json").exits(DONE).json
        assert old not in report["removed"]
        reasons = {each["backup_id"]: each["reason"] for database in report["databases"] for each in database["decisions"]}
        assert reasons[old] == "it is being read"
        running.signal(signal.SIGCONT)
        running.result().exits(DONE)
    keeper("verify", "latest", "--database", "one", "--level", "restore").exits(DONE)
    assert old in keeper("expire", "--json").exits(DONE).json["removed"]


def test_a_flipped_byte_fails_the_proof_and_takes_the_older_proofs_away(keeper: Pgkeeper) -> None:
    backup_id = newest(keeper, "two")
    keeper("verify", backup_id, "--level", "restore").exits(DONE)
    keeper("verify", backup_id, "--level", "checksum").exits(DONE)
    assert verified(keeper, backup_id).keys() == {"restore", "checksum"}
    path = place(keeper, backup_id) / "database.sql.gz"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        run = keeper("verify", backup_id, "--level", "restore").exits(INTEGRITY)
        assert "database.sql.gz" in run.error
        assert verified(keeper, backup_id) == {}
        assert not list(path.parent.glob("proof-*"))
    finally:
        path.write_bytes(whole)
    keeper("verify", backup_id, "--level", "restore").exits(DONE)


def test_a_proof_counts_only_as_it_was_written_and_where_it_was_written(keeper: Pgkeeper) -> None:
    proven, other = newest(keeper, "two"), keeper.backup("two")
    keeper("verify", proven, "--level", "restore").exits(DONE)
    proof = place(keeper, proven) / "proof-restore.json"
    copied = place(keeper, other) / "proof-restore.json"
    shutil.copy(proof, copied)
    os.chown(copied, *service_ids())
    assert verified(keeper, other) == {}
    renamed = proof.with_name("proof-contents.json")
    shutil.copy(proof, renamed)
    os.chown(renamed, *service_ids())
    assert verified(keeper, proven).keys() == {"restore"}
    genuine = proof.read_text()
    document = json.loads(genuine) | {"finished_at": "2026-11-30T00:00:00Z"}
    proof.write_text(json.dumps(document))
    assert verified(keeper, proven) == {}
    proof.write_text(genuine)
    assert verified(keeper, proven).keys() == {"restore"}
    copied.unlink()
    renamed.unlink()
