"""The module pgkeeper_pitr recovers real clusters: what it plans is what it does, and the same request is done once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.module import call_module
from .support.product import DONE, REFUSED, USAGE
from .support.server_unit import ServerUnit
from .support.workspace import Workspace


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    workspace.directory("m", 0o755)
    made = archived(workspace, "m/main")
    made.cluster.execute("create table t (n int)")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    # What is restored begins in the second after the backup.
    time.sleep(1.1)
    yield made
    made.end()


@pytest.fixture
def at(archive: Archive) -> Iterator[str]:
    """A moment between two rows, 1 and 2, that is archived. Side clusters are gone afterwards."""
    archive.cluster.execute("truncate t; insert into t values (1)")
    ((moment,),) = archive.cluster.query("select clock_timestamp()::text")
    time.sleep(0.05)
    archive.cluster.execute("insert into t values (2)")
    archive.switch()
    yield str(moment)
    for directory in sides(archive):
        archive.pgkeeper("pitr", "stop", str(directory), "--remove").exits(DONE)


def sides(archive: Archive) -> list[Path]:
    return list((archive.pgkeeper.state / "pitr" / "side").glob("*"))


def pitr(archive: Archive, **options: object) -> dict[str, Any]:
    return call_module(archive.pgkeeper, "pgkeeper_pitr", **options)  # type: ignore[arg-type]


def rows(archive: Archive) -> list[object]:
    return [n for (n,) in archive.cluster.query("select n from t order by n")]


def test_a_recovery_beside_is_planned_done_and_not_done_again(archive: Archive, at: str) -> None:
    planned = pitr(archive, check=True, request_id="a", target_time=at)
    assert (planned["changed"], planned["plan"]["would_change"]) == (True, True)
    assert not sides(archive)
    done = pitr(archive, request_id="a", target_time=at)
    assert done["changed"] is True
    assert done["report"]["directory"] == planned["plan"]["directory"]
    assert done["diff"] == planned["diff"]
    side = Path(done["report"]["directory"])
    assert archive.psql_at(side, "select string_agg(n::text, ',') from t") == "1"
    pid = (side / "data" / "postmaster.pid").read_text()

    # The same moment, written otherwise.
    for check in (True, False):
        again = pitr(archive, check=check, request_id="a", target_time=at.replace(" ", "T").replace("+00", "Z"))
        assert (again["changed"], again["plan"]["would_change"]) == (False, False)
        assert "done before" in again["msg"]
        assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    assert (side / "data" / "postmaster.pid").read_text() == pid
    other = pitr(archive, request_id="a", latest=True)
    assert (other["failed"], other["exit_status"]) == (True, REFUSED)
    assert "used for another recovery" in other["msg"]

    archive.pgkeeper("pitr", "stop", str(side), "--remove").exits(DONE)
    assert pitr(archive, request_id="a", target_time=at)["changed"] is True


def test_on_the_command_line_the_same_request_is_done_once_too(archive: Archive, at: str) -> None:
    wish = ("pitr", "restore", "--target-time", at, "--request-id", "b", "--json")
    done = archive.pgkeeper(*wish).exits(DONE).json
    again = archive.pgkeeper(*wish).exits(DONE)
    assert (done["changed"], again.json["changed"]) == (True, False)
    assert again.json["recovered_at"] == done["recovered_at"]
    assert "done before" in again.warnings
    plan = archive.pgkeeper(*wish, "--dry-run").exits(DONE).json
    assert (plan["would_change"], plan["directory"]) == (False, done["directory"])
    archive.pgkeeper("pitr", "stop", done["directory"]).exits(DONE)
    assert "was stopped since" in archive.pgkeeper(*wish).exits(DONE).warnings


def test_tables_that_could_not_be_copied_out_are_what_is_left_to_do(archive: Archive, at: str) -> None:
    wish: dict[str, Any] = {"request_id": "c", "target_time": at, "database": "postgres", "exports": ["public.late"]}
    failed = pitr(archive, **wish)
    assert failed["failed"] is True
    (side,) = sides(archive)
    planned = pitr(archive, check=True, **wish)
    assert planned["changed"] is True
    assert "public.late would be copied out" in planned["plan"]["reason"]
    archive.psql_at(side, "create table late as select 7 as n")
    done = pitr(archive, **wish)
    (path,) = done["report"]["exports"]
    assert "\n7\n" in Path(path).read_text()
    assert sides(archive) == [side]
    assert pitr(archive, **wish)["changed"] is False


def test_what_would_be_refused_at_once_is_refused_in_check_mode(archive: Archive, at: str) -> None:
    for place, why in ((archive.cluster.data / "x", "production's"), (archive.repository, "production's")):
        answer = pitr(archive, check=True, request_id="d", target_time=at, to_dir=str(place))
        assert (answer["exit_status"], why in answer["msg"]) == (REFUSED, True)
    assert pitr(archive, check=True, request_id="d", target_time="2001-01-01 00:00Z")["exit_status"] == REFUSED
    # Nobody can stop PostgreSQL here.
    answer = pitr(archive, check=True, request_id="d", target_time=at, replace=True)
    assert (answer["exit_status"], "pgkeeper-server.path" in answer["msg"]) == (REFUSED, True)
    assert pitr(archive, check=True, request_id="d", undo=True)["exit_status"] == USAGE
    assert pitr(archive, check=True, request_id="d", target_time=at, in_place=True)["exit_status"] == USAGE
    for wrong, why in (({"exports": ["public.t"]}, "no database is named"), ({"to_dir": "x"}, "must be an absolute path")):
        answer = pitr(archive, check=True, request_id="d", target_time=at, **wrong)
        assert (answer["exit_status"], why in answer["msg"]) == (USAGE, True)
    assert not sides(archive)


def test_the_window_is_told_to_who_asks_for_it(archive: Archive, at: str) -> None:
    assert "window" not in call_module(archive.pgkeeper, "pgkeeper_info")
    told = call_module(archive.pgkeeper, "pgkeeper_info", window=True)
    (repository,) = told["window"]["repositories"]
    assert repository["spans"][-1]["open"] is True
    assert told["cluster_replacements"] == []


def test_production_is_replaced_and_gets_its_files_back_once_each(archive: Archive, at: str) -> None:
    with ServerUnit(archive.pgkeeper).running() as unit:
        wish: dict[str, Any] = {"request_id": "e", "target_time": at, "replace": True}
        planned = pitr(archive, check=True, **wish)
        assert (planned["changed"], planned["plan"]["running"]) == (True, True)
        refused = pitr(archive, **wish)
        assert (refused["exit_status"], rows(archive), unit.history()) == (REFUSED, [1, 2], [])
        replaced = pitr(archive, **wish, confirmation="RESTORE")
        assert (replaced["changed"], replaced["report"]["archived"], rows(archive)) == (True, True, [1])
        for check in (True, False):
            again = pitr(archive, check=check, **wish, confirmation="RESTORE")
            assert (again["changed"], "done before" in again["msg"]) == (False, True)
        assert pitr(archive, request_id="e", latest=True, replace=True, confirmation="RESTORE")["exit_status"] == REFUSED

        planned = pitr(archive, check=True, request_id="f", undo=True)
        assert planned["plan"]["returning"] == replaced["report"]["kept_as"]
        undone = pitr(archive, request_id="f", undo=True, confirmation="RESTORE")
        assert (undone["changed"], rows(archive)) == (True, [1, 2])
        assert pitr(archive, request_id="f", undo=True, confirmation="RESTORE")["changed"] is False
        assert unit.history() == ["stop", "start"] * 2

        wish = {"request_id": "g", "target_time": at, "replace": True, "in_place": True}
        assert "nothing of its files would be kept" in pitr(archive, check=True, **wish)["plan"]["reason"]
        over = pitr(archive, **wish, confirmation="RESTORE")
        assert (over["changed"], over["report"]["kept_as"], rows(archive)) == (True, "", [1])
        assert pitr(archive, **wish, confirmation="RESTORE")["changed"] is False
        assert pitr(archive, request_id="h", undo=True, confirmation="RESTORE")["exit_status"] == REFUSED
    known = call_module(archive.pgkeeper, "pgkeeper_info")["cluster_replacements"]
    assert [(one["kind"], one["step"], one["request_id"]) for one in known] == [
        ("replace", "done", "g"),
        ("undo", "done", "f"),
        ("replace", "done", "e"),
    ]
