"""A cluster whose segments of the log are not of the usual size: their names count differently, and all that is known of them follows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support.archive import Archive, archived
from .support.product import DONE
from .support.server_unit import ServerUnit
from .support.workspace import Workspace

# As the last eight digits of a name they are beyond what a segment of 16 MB can have.
FIRST = 260


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    """A cluster with segments of 1 MB, far enough in its log, and a backup."""
    workspace.directory("small", 0o755)
    made = archived(workspace, "small/main", segment_mb=1)
    made.cluster.execute("create table t (n int)")
    with made.cluster.connect() as session:
        for _ in range(FIRST):
            session.execute("select pg_create_restore_point('on')")
            session.execute("select pg_switch_wal()")
    assert int(made.switch()[-8:], 16) >= FIRST
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    # What is restored begins in the second after the backup.
    time.sleep(1.1)
    yield made
    made.end()


def recovered(archive: Archive, *target: str) -> str:
    """The numbers in table `t` as they come back beside production."""
    side = archive.pitr("restore", *target).exits(DONE).json["directory"]
    numbers = archive.psql_at(Path(side), "select string_agg(n::text, ',' order by n) from t")
    archive.pgkeeper("pitr", "stop", str(side), "--remove").exits(DONE)
    return numbers


def test_a_moment_is_checked_for_shown_and_brought_back_where_segments_are_small(archive: Archive) -> None:
    at = archive.write(1)
    archive.pgkeeper("pitr", "mark", "one").exits(DONE)
    archive.write(2)
    archive.switch()
    archive.pgkeeper("pitr", "check").exits(DONE)
    (shown,) = archive.pitr("window").exits(DONE).json["repositories"]
    assert (len(shown["spans"]), shown["gaps"], shown["error"]) == (1, [], None)
    assert shown["spans"][0]["open"]
    assert recovered(archive, "--target-time", at) == "1"
    assert recovered(archive, "--target-name", "one") == "1"
    assert recovered(archive, "--latest") == "1,2"
    archive.pgkeeper("pitr", "verify", "--restore").exits(DONE)


def test_a_gap_is_found_by_its_segment_where_segments_are_small(archive: Archive) -> None:
    archive.cluster.execute("insert into t values (3)")
    lost = archive.switch()
    archive.cluster.execute("insert into t values (4)")
    archive.switch()
    (file,) = archive.repository.rglob(f"{lost}-*")
    away = file.rename(archive.pgkeeper.home / file.name)
    try:
        (shown,) = archive.pitr("window").json["repositories"]
        assert [(gap["first_segment"], gap["segments"]) for gap in shown["gaps"]] == [(lost, 1)]
    finally:
        away.rename(file)


def test_production_is_replaced_and_comes_back_where_segments_are_small(archive: Archive) -> None:
    archive.cluster.execute("truncate t")
    at = archive.write(5)
    archive.write(6)
    archive.switch()
    with ServerUnit(archive.pgkeeper).running():
        replaced = archive.pitr("restore", "--target-time", at, "--replace", "--confirm", "RESTORE").exits(DONE).json
        assert (archive.numbers(), replaced["archived"]) == ([5], True)
        undone = archive.pitr("undo", "--confirm", "RESTORE").exits(DONE).json
        assert (archive.numbers(), undone["archived"]) == ([5, 6], True)
    archive.pgkeeper("pitr", "backup").exits(DONE)
    archive.pgkeeper("pitr", "check").exits(DONE)
    assert recovered(archive, "--latest") == "5,6"


def test_the_end_of_the_log_comes_back_where_the_cluster_with_small_segments_is_lost(archive: Archive) -> None:
    archive.cluster.stop()
    archive.cluster.data.rename(away := archive.cluster.data.with_name("away"))
    (archive.pgkeeper.state / "pitr" / "segments.json").unlink()
    try:
        assert recovered(archive, "--latest") == "5,6"
    finally:
        away.rename(archive.cluster.data)
        archive.cluster.start()
