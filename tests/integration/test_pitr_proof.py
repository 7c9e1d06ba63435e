"""That a repository can bring the cluster back is proven by bringing it back, and looking into all of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.product import BUSY, DONE, FAILED, INTEGRITY
from .support.waiting import wait_until
from .support.workspace import Workspace

PROVE = ("pitr", "verify", "--restore", "--json")


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    made = archived(workspace, "proof")
    made.cluster.execute("create database app")
    made.cluster.execute("create table t as select n, repeat('x', 100) as text from generate_series(1, 1000) as n", database="app")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    yield made
    made.end()


def recovery(document: Any) -> dict[str, Any]:  # noqa: ANN401 - a document of any shape
    (found,) = [outcome for outcome in document["outcomes"] if outcome["subject"] == "recovery"]
    return dict(found)


def proven(archive: Archive) -> dict[str, Any] | None:
    (repository,) = archive.pgkeeper("pitr", "window", "--json").json["repositories"]
    found = repository["proven"]
    return None if found is None else dict(found)


def left(archive: Archive) -> list[Path]:
    return list((archive.pgkeeper.state / "pitr" / "side").glob("*"))


def test_it_is_written_down_with_the_time_it_took_and_nothing_stays(archive: Archive) -> None:
    assert proven(archive) is None
    archive.cluster.execute("insert into t values (1001, 'later')", database="app")
    archive.switch()
    outcome = recovery(archive.pgkeeper(*PROVE).exits(DONE).json)
    assert (outcome["name"], outcome["status"]) == ("local", "whole")
    found = proven(archive)
    assert found is not None
    assert 0 < found["replay_seconds"] < found["seconds"]
    assert found["backup"] in outcome["reason"]
    assert found["unchecked"] == []
    assert found["tables_read"] > 0
    assert left(archive) == []
    assert archive.answers()


def test_what_a_killed_proof_left_goes_with_the_next(archive: Archive) -> None:
    before = proven(archive)
    with archive.pgkeeper.start(*PROVE) as running:
        wait_until(lambda: list((archive.pgkeeper.state / "pitr" / "side").glob("*/data/postmaster.pid")), "a server beside")
        # Nobody takes a proof's cluster away while it is at work.
        archive.pgkeeper("pitr", "remove", "test-proof", "--confirm", "test-proof", "--json").exits(BUSY)
        running.signal(signal.SIGKILL)
        running.process.wait()
    assert left(archive)
    assert proven(archive) == before
    archive.pgkeeper(*PROVE).exits(DONE)
    assert left(archive) == []


def test_a_backup_that_cannot_be_fetched_is_no_proof(archive: Archive) -> None:
    before = proven(archive)
    (victim,) = archive.repository.glob("backup/test/*F/**/pg_xact/0000*")
    whole = victim.read_bytes()
    victim.unlink()
    try:
        run = archive.pgkeeper(*PROVE)
    finally:
        victim.write_bytes(whole)
        victim.chmod(0o640)
    assert run.exit_status in (FAILED, INTEGRITY)
    assert recovery(run.json)["status"] == "failed"
    assert proven(archive) == before
    assert left(archive) == []


def test_damaged_pages_that_were_backed_up_are_found_in_what_is_recovered(archive: Archive) -> None:
    """The last test: the damage stays."""
    before = proven(archive)
    ((path,),) = archive.cluster.query("select pg_relation_filepath('t')", database="app")
    archive.cluster.stop()
    with (archive.cluster.data / str(path)).open("r+b") as file:
        # The first row's pointer, a normal one, leads out of its page.
        file.seek(24)
        file.write(b"\xff\xff\xc8\x00")
    archive.cluster.start()
    archive.pgkeeper("pitr", "backup", "--kind", "full", "--quiet").exits(DONE)
    run = archive.pgkeeper(*PROVE).exits(INTEGRITY)
    outcome = recovery(run.json)
    assert outcome["status"] == "damaged"
    assert "public.t" in outcome["damages"][0] or "t:" in outcome["damages"][0]
    assert proven(archive) == before
    assert left(archive) == []
