"""A whole cluster goes back to a moment, and forward again; later recoveries follow what production became, and nothing is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from .support.archive import Archive, archived
from .support.binaries import major_version
from .support.processes import is_alive, processes_in
from .support.product import BUSY, DONE, FAILED, REFUSED, USAGE
from .support.server_unit import ServerUnit
from .support.waiting import wait_until
from .support.workspace import Workspace

NUMBERS = count()
REPLACE = ("--replace", "--confirm", "RESTORE")


@pytest.fixture
def archive(workspace: Workspace) -> Iterator[Archive]:
    """A cluster with two databases, a tablespace and a backup, in a directory that is the database user's own."""
    # Short, since a socket's path has an end.
    name = f"r{next(NUMBERS)}"
    workspace.directory(name, 0o755)
    made = archived(workspace, f"{name}/main")
    location = workspace.directory(f"{name}/fast")
    made.cluster.execute(f"create tablespace fast location '{location}'")
    made.cluster.execute("create table t (n int) tablespace fast; create table kept as select 1 as n;")
    made.cluster.execute("create database other")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    # What is restored begins in the second after the backup.
    time.sleep(1.1)
    yield made
    assert list((made.pgkeeper.state / "pitr" / "side").glob("*")) == []
    assert list(location.glob(".pgkeeper-next-*")) == []
    made.end()


@pytest.fixture
def unit(archive: Archive) -> Iterator[ServerUnit]:
    with ServerUnit(archive.pgkeeper).running() as unit:
        yield unit


def directories(archive: Archive) -> list[str]:
    """What lies beside production's data directory of its own kind."""
    return sorted(path.name.partition("-2")[0] for path in archive.cluster.data.parent.glob(f"{archive.cluster.data.name}*"))


def kept(archive: Archive) -> list[tuple[str, bool]]:
    """Which data directories `pitr list` says are kept, and whether an undoing needs them; their tablespaces' files are named, too."""
    found = archive.pitr("list").exits(DONE).json["kept"]
    assert all(len(one["paths"]) == 2 and one["size_bytes"] > 1_000_000 for one in found)
    return [(one["paths"][0], one["undo_needs_it"]) for one in found]


def test_production_goes_back_and_forward_again_and_what_comes_later_can_be_recovered(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    ((system,),) = archive.cluster.query("select system_identifier from pg_control_system()")
    replaced: dict[str, Any] = archive.pitr("restore", "--target-time", at, *REPLACE).exits(DONE).json
    assert archive.numbers() == [1]
    assert archive.cluster.query("select system_identifier from pg_control_system()") == [(system,)]
    assert (replaced["timeline"], replaced["archived"], replaced["unchecked"], replaced["changed"]) == (2, True, [], True)
    assert replaced["backup"] is not None
    # Those of two databases, with all that PostgreSQL itself has there.
    assert replaced["tables_read"] > 100
    assert 0 < replaced["downtime_seconds"] < 60
    assert Path(replaced["kept_as"], "PG_VERSION").exists()
    assert archive.cluster.query("select pg_tablespace_location(oid) from pg_tablespace where spcname = 'fast'") == [
        (str(archive.cluster.data.parent / "fast"),)
    ]
    assert unit.history() == ["stop", "start"]
    assert kept(archive) == [(replaced["kept_as"], True)]

    archive.write(3)
    archive.switch()
    undone = archive.pitr("undo", "--confirm", "RESTORE").exits(DONE).json
    assert archive.numbers() == [1, 2]
    assert (undone["timeline"], undone["archived"]) == (3, True)
    assert directories(archive) == ["main-data", "main-data.after"]
    assert kept(archive) == [(undone["kept_as"], False)]
    assert "no replacement" in archive.pitr("undo", "--confirm", "RESTORE").exits(USAGE).error

    archive.write(4)
    archive.switch()
    latest = archive.pitr("restore", "--latest").exits(DONE).json
    side = Path(latest["directory"])
    assert (latest["timeline"], latest["new_timeline"]) == (3, 4)
    assert archive.psql_at(side, "select string_agg(n::text, ',' order by n) from t") == "1,2,4"
    archive.pgkeeper("pitr", "stop", str(side), "--remove").exits(DONE)

    # The abandoned timeline ends with row 1, but production's own goes on: nothing has to arrive first.
    archive.cluster.execute("alter system set archive_command = 'false'")
    archive.cluster.execute("select pg_reload_conf()")
    archive.write(5)
    side = Path(archive.pitr("restore", "--target-time", at).exits(DONE).json["directory"])
    assert archive.psql_at(side, "select string_agg(n::text, ',' order by n) from t") == "1"
    archive.pgkeeper("pitr", "stop", str(side), "--remove").exits(DONE)
    archive.cluster.execute("alter system reset archive_command")
    archive.cluster.execute("select pg_reload_conf()")

    again = archive.pitr("restore", "--target-time", at, *REPLACE).exits(DONE).json
    assert archive.numbers() == [1]
    assert again["timeline"] == 4
    assert directories(archive) == ["main-data", "main-data.after", "main-data.before"]
    kept_directories_go_by_name_and_production_never_does(archive, Path(undone["kept_as"]), Path(again["kept_as"]))


def kept_directories_go_by_name_and_production_never_does(archive: Archive, older: Path, way_back: Path) -> None:
    """What the replacements of a test have kept is removed, whatever stands in the way at first."""
    confirmed = (older.name, "--confirm", older.name)
    assert archive.pitr("remove", older.name).exits(DONE).json["removed"] is False
    archive.pitr("remove", older.name, "--confirm", "RESTORE").exits(REFUSED)
    production = archive.cluster.data
    archive.pitr("remove", production.name, "--confirm", production.name).exits(USAGE)

    (older / "theirs").touch()
    assert "is not postgres's own" in archive.pitr("remove", *confirmed).exits(REFUSED).error
    (older / "theirs").unlink()
    moved = older.rename(older.with_name("moved"))
    older.symlink_to(production)
    assert "it is a link" in archive.pitr("remove", *confirmed).exits(REFUSED).error
    older.unlink()
    moved.rename(older)
    assert kept(archive) == [(str(way_back), True), (str(older), False)]

    # As a removal leaves it that is killed in the middle.
    older.rename(older.with_name(f".{older.name}.removing"))
    (older.with_name(f".{older.name}.removing") / "PG_VERSION").unlink()
    assert [one["half_removed"] for one in archive.pitr("list").exits(DONE).json["kept"]] == [False, True]
    assert archive.pitr("remove", *confirmed).exits(DONE).json["removed"] is True
    archive.pitr("remove", *confirmed).exits(USAGE)
    assert kept(archive) == [(str(way_back), True)]
    gone = archive.pitr("remove", way_back.name, "--confirm", way_back.name).exits(DONE)
    assert "cannot be undone any more" in gone.warnings
    assert directories(archive) == ["main-data"]
    assert list((production.parent / "fast").glob(".pgkeeper-*/*")) == []
    assert archive.numbers() == [1]


def test_production_goes_back_twice_each_time_to_an_earlier_moment(archive: Archive, unit: ServerUnit) -> None:
    first = archive.write(1)
    second = archive.write(2)
    archive.write(3)
    archive.pitr("mark", "later").exits(DONE)
    archive.write(4)
    archive.switch()
    assert archive.pitr("restore", "--target-time", second, *REPLACE).exits(DONE).json["timeline"] == 2
    assert archive.numbers() == [1, 2]
    archive.write(5)
    archive.pitr("mark", "on two").exits(DONE)
    archive.write(6)
    archive.switch()
    assert archive.pitr("restore", "--target-time", first, *REPLACE).exits(DONE).json["timeline"] == 3
    assert archive.numbers() == [1]
    archive.write(7)
    archive.switch()

    assert archive.pitr("check").exits(DONE).json["problems"] == []
    repository = archive.pitr("window").exits(DONE).json["repositories"][0]
    assert {span["timeline"] for span in repository["spans"]} == {1, 2, 3}
    # It branched off where the moment lies: timeline 2 only began later.
    history = archive.pgbackrest("repo-get", f"archive/test/{major_version()}-1/00000003.history")
    assert [line.split("\t")[0] for line in history.splitlines() if line] == ["1"]

    def recovered(*target: str) -> tuple[int, str]:
        """On which timeline something was recovered, and what was there."""
        found = archive.pitr("restore", *target).exits(DONE).json
        numbers = archive.psql_at(Path(found["directory"]), "select string_agg(n::text, ',' order by n) from t")
        archive.pgkeeper("pitr", "stop", found["directory"], "--remove").exits(DONE)
        return found["timeline"], numbers

    assert recovered("--latest") == (3, "1,7")
    assert recovered("--target-name", "on two", "--timeline", "2") == (2, "1,2,5")
    for target, asked, followed in (
        ("--target-name=later", "1", 1),
        (f"--target-time={first}", "2", 1),
        (f"--target-time={second}", "2", 2),
    ):
        planned = archive.pitr("restore", target, "--timeline", asked, "--dry-run").exits(DONE).json
        assert planned["timeline"] == followed
    for way in ((), ("--replace",)):
        told = archive.pgkeeper("pitr", "restore", f"--target-time={second}", *way, "--dry-run").exits(DONE)
        assert "timeline 3 is followed; the moment may have other contents with --timeline 1, --timeline 2" in told.stderr


def test_tablespaces_made_and_dropped_since_the_backup_go_back_and_forward_too(
    archive: Archive, unit: ServerUnit, workspace: Workspace
) -> None:
    home = archive.cluster.data.parent
    dropped, made = workspace.directory(f"{home.name}/dropped"), workspace.directory(f"{home.name}/made")
    archive.cluster.execute(f"create tablespace dropped location '{dropped}'")
    archive.cluster.execute("create table d tablespace dropped as select 7 as n")
    at = archive.write(1)
    archive.cluster.execute("drop table d")
    archive.cluster.execute("drop tablespace dropped")
    archive.cluster.execute(f"create tablespace made location '{made}'")
    archive.cluster.execute("create table m tablespace made as select 8 as n")
    archive.write(2)
    archive.switch()

    def tablespaces() -> list[str]:
        asked = archive.cluster.query("select pg_tablespace_location(oid) from pg_tablespace where spcname not like 'pg_%%' order by 1")
        return [Path(str(location)).name for (location,) in asked]

    for _ in range(2):
        archive.pitr("restore", "--target-time", at, *REPLACE).exits(DONE)
        assert (archive.numbers(), tablespaces()) == ([1], ["dropped", "fast"])
        assert archive.cluster.query("select n from d") == [(7,)]
        assert list(dropped.glob("PG_*"))
        archive.pitr("undo", "--confirm", "RESTORE").exits(DONE)
        assert (archive.numbers(), tablespaces()) == ([1, 2], ["fast", "made"])
        assert archive.cluster.query("select n from m") == [(8,)]
    assert list(dropped.glob(".pgkeeper-next-*")) == []


def test_a_request_is_done_once(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    first = archive.pitr("restore", "--target-time", at, *REPLACE, "--request-id", "ticket-1").exits(DONE).json
    archive.write(5)
    again = archive.pitr("restore", "--target-time", at, *REPLACE, "--request-id", "ticket-1").exits(DONE).json
    assert (again["changed"], again["replacement_id"]) == (False, first["replacement_id"])
    assert (again["archived"], again["backup"]) == (True, first["backup"])
    # The backup of what production became goes, by whatever hand: that it was made once does not bring anything back.
    archive.pgbackrest("expire", f"--set={first['backup']}")
    again = archive.pitr("restore", "--target-time", at, *REPLACE, "--request-id", "ticket-1", "--dry-run").exits(DONE).json
    assert (again["would_change"], "a full one would be made" in again["reason"]) == (True, True)
    again = archive.pitr("restore", "--target-time", at, *REPLACE, "--request-id", "ticket-1").exits(DONE).json
    assert (again["changed"], again["backup"] in (None, first["backup"])) == (False, False)
    assert archive.numbers() == [1, 5]
    archive.pitr("undo", "--confirm", "RESTORE", "--request-id", "ticket-2").exits(DONE)
    assert archive.pitr("undo", "--confirm", "RESTORE", "--request-id", "ticket-2").exits(DONE).json["changed"] is False
    assert archive.numbers() == [1, 2]
    assert unit.history() == ["stop", "start"] * 2


def test_without_the_word_or_the_helper_nothing_happens(archive: Archive) -> None:
    at = archive.write(1)
    archive.switch()
    archive.write(2)
    archive.switch()
    before = directories(archive)
    assert "--confirm RESTORE" in archive.pitr("restore", "--target-time", at, "--replace").exits(REFUSED).error
    run = archive.pitr("restore", "--target-time", at, *REPLACE).exits(REFUSED)
    assert "pgkeeper-server.path" in run.error
    assert archive.numbers() == [1, 2]
    assert directories(archive) == before


def test_a_time_without_a_zone_is_shown_in_the_servers_own_zone_whatever_is_asked_for(archive: Archive) -> None:
    archive.cluster.execute("alter system set timezone = 'Europe/Berlin'")
    archive.cluster.query("select pg_reload_conf()")
    asked = ("restore", "--target-time", "2026-11-26 12:00")
    for more in ((), ("--dry-run",), REPLACE, ("--replace", "--dry-run"), (*REPLACE, "--in-place"), (*REPLACE, "--request-id", "ticket-9")):
        said = archive.pitr(*asked, *more).exits(USAGE).error
        assert "write 2026-11-26 12:00 UTC or 2026-11-26 12:00 Europe/Berlin" in said, more
    assert "is ambiguous" in archive.pitr("restore", "--target-time", "2026-07-01 12:00 CET", *REPLACE).exits(USAGE).error


def test_a_cluster_that_is_lost_comes_back(archive: Archive, unit: ServerUnit) -> None:
    archive.write(1)
    archive.switch()
    archive.cluster.stop()
    # As if the disk had been lost, and a new one were there.
    archive.remove_data()
    report = archive.pitr("restore", "--latest", *REPLACE).exits(DONE).json
    assert report["kept_as"] == ""
    assert archive.numbers() == [1]
    assert unit.history()[-1] == "start"
    assert "gone" in archive.pitr("undo", "--confirm", "RESTORE").exits(REFUSED).error


@pytest.mark.parametrize("moment", ["fetch", "recovered", "stopping", "exchanging", "checking", "archiving"])
def test_killed_anywhere_production_runs_again_on_one_cluster_or_the_other(archive: Archive, unit: ServerUnit, moment: str) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    journals = archive.pgkeeper.state / "cluster-replacements"

    def reached() -> bool:
        text = "".join(path.read_text() for path in journals.glob("*.jsonl"))
        return f'"step": "{moment}"' in text or (moment == "fetch" and '"begun"' in text)

    with archive.pgkeeper.start("pitr", "restore", "--target-time", at, *REPLACE) as running:
        wait_until(lambda: reached() or running.process.poll() is not None, f"step {moment}", 60)
        running.signal(signal.SIGKILL)
        running.result()
    settled = archive.pitr("resume").exits(DONE).json["settled"]
    assert len(settled) <= 1
    wait_until(archive.answers, "production")
    assert archive.numbers() in ([1, 2], [1])
    assert archive.numbers() == [1, 2] or moment in ("checking", "archiving")
    assert not [name for name in directories(archive) if "next" in name]
    # And it can be done.
    archive.pitr("restore", "--target-time", at, *REPLACE).exits(DONE)
    assert archive.numbers() == [1]
    assert unit.history()[-1] == "start"


def kill_with_a_server_at_work(archive: Archive, kept: str, *arguments: str) -> Path:
    """Begin something, and kill it when its server is at work in a directory beside production's; returns that."""

    def at_work() -> list[Path]:
        return list(archive.cluster.data.parent.glob(f"{archive.cluster.data.name}.{kept}-*/postmaster.pid"))

    with archive.pgkeeper.start("pitr", *arguments) as running:
        wait_until(lambda: at_work() or running.process.poll() is not None, "a server of ours", 60)
        assert running.process.poll() is None, running.result().output
        running.signal(signal.SIGKILL)
        (pid,) = at_work()
        running.result()
    assert processes_in(pid.parent)
    return pid.parent


def test_an_undo_killed_amid_its_recovery_is_begun_anew_and_the_settings_come_back(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.cluster.execute("alter system set work_mem = '7MB'")
    archive.write(2)
    archive.switch()
    archive.pitr("restore", "--target-time", at, *REPLACE).exits(DONE)
    assert archive.cluster.query("show work_mem") == [("4MB",)]
    archive.write(3)
    archive.switch()

    kept = kill_with_a_server_at_work(archive, "before", "undo", "--confirm", "RESTORE")
    (said,) = archive.pitr("resume").exits(DONE).json["settled"]
    assert "was given up" in said
    assert processes_in(kept) == []
    settings = (kept / "postgresql.auto.conf").read_text()
    assert ("work_mem = '7MB'" in settings, "archive_mode" in settings) == (True, False)
    assert archive.numbers() == [1, 3]

    archive.pitr("undo", "--confirm", "RESTORE").exits(DONE)
    assert archive.numbers() == [1, 2]
    archive.cluster.execute("select pg_reload_conf()")
    assert archive.cluster.query("show work_mem") == [("7MB",)]
    assert archive.cluster.query("show archive_mode") == [("on",)]


def test_a_replacement_killed_amid_its_recovery_leaves_no_server_and_no_files(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    coming = kill_with_a_server_at_work(archive, "next", "restore", "--target-time", at, *REPLACE)
    # By now it waits for nothing, and would be there for long.
    wait_until(lambda: "ready" in (coming / "postmaster.pid").read_text(), "the end of its recovery")
    server = processes_in(coming)
    archive.pitr("resume").exits(DONE)
    assert [pid for pid in server if is_alive(pid)] == []
    assert directories(archive) == ["main-data"]
    assert archive.numbers() == [1, 2]


def test_what_does_not_start_gives_production_its_files_back(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    # A library that is gone: the backup's own settings ask for it.
    archive.cluster.execute("alter system set shared_preload_libraries = 'nowhere'")
    archive.pitr("backup", "--kind", "full").exits(DONE)
    archive.cluster.execute("alter system reset shared_preload_libraries")
    time.sleep(1.1)
    at = archive.write(3)
    archive.write(4)
    archive.switch()
    run = archive.pitr("restore", "--target-time", at, *REPLACE).exits(FAILED)
    assert "the files it had before" in run.error
    assert archive.numbers() == [1, 2, 3, 4]
    assert directories(archive) == ["main-data"]


def test_one_replacement_at_a_time(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    with archive.pgkeeper.start("pitr", "restore", "--target-time", at, *REPLACE, "--json") as running:
        wait_until(lambda: list((archive.pgkeeper.state / "cluster-replacements").glob("*.jsonl")), "its journal")
        archive.pitr("undo", "--confirm", "RESTORE").exits(BUSY)
        running.result().exits(DONE)
    assert archive.numbers() == [1]
    assert unit.history() == ["stop", "start"]
