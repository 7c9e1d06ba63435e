"""A recovery brings back what was asked for: not more, since something was archived meanwhile, nor less, since something was missing."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.processes import all_command_lines
from .support.product import DONE, FAILED, INTEGRITY
from .support.server_unit import ServerUnit
from .support.workspace import Workspace

# Does what was asked for, and commits a row into a segment of its own when a phase begins.
MEANWHILE = """
import json, subprocess, sys
from datetime import timedelta
from pgkeeper.model.progress import NullProgress
from pgkeeper.operations.pitr_request import RecoveryWish
from pgkeeper.operations.pitr_restore import PitrRestoreRequest, pitr_restore
from pgkeeper.operations.replace_cluster import ReplaceClusterRequest, replace_cluster
from pgkeeper.settings import load_settings
from pgkeeper.operations.places import server
from pgkeeper.postgres.archiving import archives
when, way, wish = sys.argv[1:]
settings, wish = load_settings(), RecoveryWish.model_validate_json(wish)
class Meanwhile(NullProgress):
    def phase(self, name):
        if name.startswith(when):
            with server(settings).connect_maintenance() as session:
                session.execute("insert into public.t values (99)")
            assert archives(server(settings), timedelta(seconds=60)).arrived
if way == "beside":
    report = pitr_restore(PitrRestoreRequest(wish=wish), settings, Meanwhile())
else:
    request = ReplaceClusterRequest(wish=wish, in_place=way == "in place", confirmation="RESTORE")
    report = replace_cluster(request, settings, Meanwhile())
print(report.model_dump_json())
"""

# Does what was asked for, with a repository that does not answer. It is given up after seconds instead of a quarter of an hour, or the
# person who waits gives up.
SILENT = """
import signal, sys
from pathlib import Path
from pgkeeper.model.errors import BusyError
from pgkeeper.model.progress import NullProgress
from pgkeeper.operations import recovery
from pgkeeper.operations.pitr_request import RecoveryWish
from pgkeeper.operations.pitr_restore import PitrRestoreRequest, pitr_restore
from pgkeeper.operations.replace_cluster import ReplaceClusterRequest, replace_cluster
from pgkeeper.operations.side_server import stop_side
from pgkeeper.postgres import side_cluster
from pgkeeper.settings import load_settings
way, who, side = sys.argv[1:]
recovery.restore_command = lambda *_: "sleep 4711"
signal.signal(signal.SIGALRM, signal.default_int_handler)
class Impatient(NullProgress):
    def phase(self, name):
        if name.startswith("replay") and who == "person":
            signal.alarm(2)
        if name.startswith("replay") and way == "beside":
            try:
                stop_side(Path(side), load_settings(), clear=True)
            except BusyError as error:
                print(error)
if who == "pgkeeper":
    side_cluster._STILL_SECONDS = 2
wish = RecoveryWish(latest=True)
if way == "beside":
    pitr_restore(PitrRestoreRequest(wish=wish, to_dir=side), load_settings(), Impatient())
else:
    replace_cluster(ReplaceClusterRequest(wish=wish, confirmation="RESTORE"), load_settings(), Impatient())
"""
GAVE_UP = {"pgkeeper": "OperationFailed: recovery stands still: nothing was replayed for 2 s", "person": "KeyboardInterrupt"}


@pytest.fixture(scope="module")
def made(workspace: Workspace) -> Iterator[Archive]:
    """A cluster with a backup, in a directory that is the database user's own."""
    workspace.directory("exact", 0o755)
    made = archived(workspace, "exact/main")
    made.cluster.execute("create table t (n int)")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    yield made
    made.end()


@pytest.fixture
def archive(made: Archive) -> Iterator[Archive]:
    """It, with nothing in its table; what is recovered beside goes with the test."""
    made.cluster.execute("delete from t")
    # What is restored begins in the second after a backup.
    time.sleep(1.1)
    yield made
    for directory in (made.pgkeeper.state / "pitr" / "side").glob("*"):
        made.pgkeeper("pitr", "stop", str(directory), "--remove").exits(DONE)


@pytest.fixture(scope="module")
def unit(made: Archive) -> Iterator[ServerUnit]:
    with ServerUnit(made.pgkeeper).running() as unit:
        yield unit


def found_beside(archive: Archive, report: dict[str, Any]) -> str:
    """What table `t` of the recovered cluster holds; it goes then."""
    answer = archive.psql_at(Path(report["directory"]), "select string_agg(n::text, ',' order by n) from t")
    archive.pgkeeper("pitr", "stop", report["directory"], "--remove").exits(DONE)
    return answer


def at_work_beside(archive: Archive) -> list[Path]:
    """Which side clusters have a server."""
    return list((archive.pgkeeper.state / "pitr" / "side").glob("*/data/postmaster.pid"))


@pytest.mark.parametrize(("way", "when"), [("beside", "fetch"), ("replace", "fetch"), ("in place", "archive the log")])
def test_what_is_committed_and_archived_while_it_is_at_work_stays_out(archive: Archive, unit: ServerUnit, way: str, when: str) -> None:
    archive.write(1)
    at = archive.write(2)
    # Nothing is committed behind that moment when it is asked for: the log that there is then holds it.
    done = archive.pgkeeper.program(MEANWHILE, when, way, json.dumps({"time": at}))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    if way == "beside":
        assert archive.numbers() == [1, 2, 99]
        assert found_beside(archive, report) == "1,2"
    else:
        assert archive.numbers() == [1, 2]


def test_of_two_records_with_one_name_the_later_is_meant_unless_a_mark_is(archive: Archive) -> None:
    for number in (1, 2):
        archive.write(number)
        archive.cluster.execute("select pg_create_restore_point('twice')")
    archive.pitr("mark", "once").exits(DONE)
    archive.write(3)
    archive.cluster.execute("select pg_create_restore_point('once')")
    archive.write(4)
    archive.switch()
    for name in ("twice", "once"):
        assert found_beside(archive, archive.pitr("restore", "--target-name", name).exits(DONE).json) == "1,2"


@pytest.fixture
def middle(archive: Archive) -> Path:
    """The file of a segment between others."""
    names = []
    for number in (1, 2, 3):
        archive.write(number)
        names.append(archive.switch())
    archive.pitr("window").exits(DONE)
    (path,) = archive.repository.rglob(f"{names[1]}-*")
    return path


def test_a_segment_that_cannot_be_fetched_is_not_the_end_of_the_log(archive: Archive, middle: Path) -> None:
    middle.chmod(0)
    failed = archive.pitr("restore", "--latest").exits(FAILED)
    middle.chmod(0o640)
    assert middle.name.partition("-")[0] in failed.error
    assert found_beside(archive, archive.pitr("restore", "--latest").exits(DONE).json) == "1,2,3"


@pytest.mark.parametrize("wish", [("restore", "--latest"), ("verify", "--restore")])
def test_damaged_log_is_not_the_end_of_the_log(archive: Archive, middle: Path, wish: tuple[str, ...]) -> None:
    whole = middle.read_bytes()
    (before,) = archive.repository.rglob(f"{middle.name[:23]}{int(middle.name[23], 16) - 1:X}-*")
    shutil.copyfile(before, middle)
    run = archive.pitr(*wish).exits(INTEGRITY)
    assert "recovery ended before the end of the log" in run.output
    assert at_work_beside(archive) == []
    middle.write_bytes(whole)
    archive.pitr(*wish).exits(DONE)


@pytest.mark.parametrize("who", ["pgkeeper", "person"])
@pytest.mark.parametrize("way", ["beside", "replace"])
def test_a_recovery_that_is_given_up_leaves_nothing_at_work_and_production_as_it_was(
    archive: Archive, unit: ServerUnit, way: str, who: str
) -> None:
    archive.write(1)
    side = archive.pgkeeper.state / "pitr" / "side" / "given-up"
    failed = archive.pgkeeper.program(SILENT, way, who, str(side))
    assert GAVE_UP[who] in failed.stderr
    assert (f"a recovery into {side} is already running" in failed.stdout) is (way == "beside")
    # What is of no use is gone, or it is said where it lies.
    stays = (way, who) == ("beside", "pgkeeper")
    assert (side.exists(), f"`pgkeeper pitr stop {side} --remove` removes it" in failed.stderr) == (stays, stays)
    assert (archive.numbers(), at_work_beside(archive)) == ([1], [])
    assert not any("sleep 4711" in line for line in all_command_lines())
