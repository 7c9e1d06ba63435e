"""A cluster is recovered beside production to the very row, and production does not notice."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES as SEGMENT
from pgkeeper.model.wal import parse_lsn

from .support.archive import Archive, archived
from .support.product import BUSY, DONE, FAILED, REFUSED, USAGE, Run
from .support.terminal import ALONE, Terminal, root_types
from .support.waiting import wait_until
from .support.workspace import Workspace

WITHOUT_BUBBLEWRAP = ("bwrap", "--dev-bind", "/", "/", "--ro-bind", "/dev/null", "/usr/bin/bwrap")
ROWS = "select coalesce(string_agg(n::text, ',' order by n), '') from t"


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    """A cluster that has everything by which a copy could reach out for production."""
    made = archived(workspace, "side")
    location = workspace.directory("side-fast")
    made.cluster.execute(f"create tablespace fast location '{location}'")
    made.cluster.execute("create table t (n int) tablespace fast; create table here as select 7 as n;")
    made.cluster.execute(f"alter system set external_pid_file = '{made.cluster.data}/../side-data/production.pid'")
    made.cluster.execute("alter system set primary_conninfo = 'host=127.0.0.1 port=1'")
    made.cluster.stop()
    made.cluster.start()
    made.cluster.execute("create table followed (n int); create publication everything for table followed")
    made.cluster.execute("create database subscriber template template0")
    made.cluster.execute("create table followed (n int)", database="subscriber")
    made.cluster.query("select pg_create_logical_replication_slot('follow', 'pgoutput')")
    connection = f"host={made.cluster.socket_directory} port={made.cluster.port} user=postgres dbname=postgres"
    made.cluster.execute(
        f"create subscription follow connection '{connection}' publication everything with (create_slot = false, slot_name = 'follow')",
        database="subscriber",
    )
    wait_until(
        lambda: made.cluster.query("select active from pg_replication_slots where slot_name = 'follow'") == [(True,)], "the subscription"
    )
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    # What is restored begins in the second after the backup.
    time.sleep(1.1)
    yield made
    made.end()


@pytest.fixture
def moments(archive: Archive) -> Iterator[dict[int, datetime]]:
    """Rows 1, 2 and 3 are committed one after the other; when each was there. All is archived, and the table is empty again after."""
    archive.cluster.execute("delete from t")
    found = {}
    for number in (1, 2, 3):
        archive.cluster.execute(f"insert into t values ({number})")
        ((now,),) = archive.cluster.query("select clock_timestamp()")
        assert isinstance(now, datetime)
        found[number] = now
        time.sleep(0.05)
    archive.switch()
    yield found
    for directory in (archive.pgkeeper.state / "pitr" / "side").glob("*"):
        archive.pgkeeper("pitr", "stop", str(directory), "--remove").exits(DONE)


def restore(archive: Archive, *arguments: str) -> dict[str, Any]:
    report = archive.pitr("restore", *arguments).exits(DONE).json
    return dict(report)


def found(archive: Archive, report: dict[str, Any], query: str = ROWS) -> str:
    """The answer of what was recovered; it is stopped then."""
    answer = archive.psql_at(Path(report["directory"]), query)
    archive.pgkeeper("pitr", "stop", report["directory"], "--remove").exits(DONE)
    assert not Path(report["directory"]).exists()
    return answer


def production(archive: Archive) -> dict[str, object]:
    """Everything of production's that a copy of it could change."""
    data = archive.cluster.data
    facts = "select system_identifier::text, (select timeline_id from pg_control_checkpoint()) from pg_control_system()"
    return {
        "pid": (data / "postmaster.pid").read_text().split("\n")[0],
        "external pid": (data / "production.pid").read_text(),
        "settings": (data / "postgresql.auto.conf").read_text(),
        "tablespaces": {path: path.stat().st_ino for path in (data.parent / "side-fast").rglob("*")},
        "links": {path.name: path.readlink() for path in (data / "pg_tblspc").iterdir()},
        "control": archive.cluster.query(facts),
        "slots": archive.cluster.query("select slot_name, active, active_pid from pg_replication_slots order by 1"),
        "backups": sorted(path.name for path in (archive.repository / "backup" / "test").iterdir()),
        "archive": sorted(path.name for path in (archive.repository / "archive").rglob("*")),
    }


def test_rows_are_there_or_not_as_of_the_very_moment(archive: Archive, moments: dict[int, datetime]) -> None:
    before = production(archive)
    for number, rows in ((1, "1"), (2, "1,2")):
        report = restore(archive, "--target-time", moments[number].isoformat())
        assert report["new_timeline"] > report["timeline"]
        assert found(archive, report) == rows
    assert production(archive) == before


def test_the_same_moment_in_three_zones_is_the_same(archive: Archive, moments: dict[int, datetime]) -> None:
    at = moments[1]
    written = [
        at.astimezone(UTC).isoformat(),
        at.astimezone(timezone(timedelta(hours=-8))).isoformat(" "),
        f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC",
    ]
    reports = [restore(archive, "--target-time", text) for text in written]
    assert {report["target"] for report in reports} == {reports[0]["target"]}
    assert [found(archive, report) for report in reports] == ["1"] * 3
    bare = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    assert "in UTC it would be" in archive.pitr("restore", "--target-time", bare).exits(USAGE).error


def test_marks_positions_and_ends_are_targets_too(archive: Archive, moments: dict[int, datetime]) -> None:
    archive.cluster.execute("insert into t values (4)")
    mark = archive.pitr("mark", f"before-{moments[1]:%f}").exits(DONE).json
    ((position,),) = archive.cluster.query("select pg_current_wal_lsn()::text")
    archive.cluster.execute("insert into t values (5)")
    archive.switch()
    assert found(archive, restore(archive, "--target-name", mark["mark"]["name"])) == "1,2,3,4"
    assert found(archive, restore(archive, "--target-lsn", str(position), "--exclusive")) == "1,2,3,4"
    assert found(archive, restore(archive, "--latest")) == "1,2,3,4,5"
    assert found(archive, restore(archive, "--immediate"), "select count(*) from t") == "0"
    assert "never-made is not in" in archive.pitr("restore", "--target-name", "never-made").exits(REFUSED).error


TOLD = """
import json, sys
from pgkeeper.model.progress import NullProgress
from pgkeeper.operations.pitr_request import RecoveryWish
from pgkeeper.operations.pitr_restore import PitrRestoreRequest, pitr_restore
from pgkeeper.settings import load_settings
class Told(NullProgress):
    def phase(self, name): self.now = told.setdefault(name.split()[0], [])
    def advance(self, done, total): self.now.append([done, total])
told = {}
report = pitr_restore(PitrRestoreRequest(wish=RecoveryWish(time=sys.argv[1])), load_settings(), Told())
print(json.dumps(told | {"directory": str(report.directory)}))
"""


def segment_with(archive: Archive, number: int) -> str:
    """Commit a row, and end the segment behind it; return a moment in between."""
    at = archive.write(number)
    archive.switch()
    return at


def test_how_far_the_replay_is_is_told_in_bytes_of_the_log_up_to_the_moment(archive: Archive) -> None:
    at = [segment_with(archive, 4) for _ in range(6)][-1]
    ((reached,),) = archive.cluster.query("select pg_current_wal_lsn() - '0/0'")
    # A repository keeps the second in which a segment was archived.
    time.sleep(1.1)
    for _ in range(3):
        segment_with(archive, 5)
    (backup,) = json.loads(archive.pgbackrest("info", "--output=json"))[0]["backup"]
    told = json.loads(archive.pgkeeper.program(TOLD, at).stdout)
    ((fetched, size),) = told["fetch"][-1:]
    assert fetched == size
    # What was archived behind the moment is not counted, but for the next segment at most. (PostgreSQL reads ahead through empty ones.)
    expected = told["replay"][0][1] + parse_lsn(backup["lsn"]["start"])
    assert expected - int(str(reached)) // SEGMENT * SEGMENT in (0, SEGMENT)
    assert all(0 <= done <= total for done, total in told["replay"])
    assert max(done for done, _ in told["replay"]) > 3 * SEGMENT
    archive.pgkeeper("pitr", "stop", told["directory"], "--remove").exits(DONE)


def test_names_and_transactions_that_nobody_wrote_down_are_found_in_the_log(archive: Archive, moments: dict[int, datetime]) -> None:
    archive.cluster.execute("select pg_create_restore_point('by-hand')")
    ((xid,),) = archive.cluster.query("with made as (insert into t values (4) returning n) select pg_current_xact_id()::text")
    archive.cluster.execute("insert into t values (5)")
    archive.switch()
    assert found(archive, restore(archive, "--target-name", "by-hand")) == "1,2,3"
    assert found(archive, restore(archive, "--target-xid", str(xid))) == "1,2,3,4"
    assert found(archive, restore(archive, "--target-xid", str(xid), "--exclusive")) == "1,2,3"


def test_in_a_quiet_period_the_end_of_the_log_is_the_moment_that_is_meant(archive: Archive, moments: dict[int, datetime]) -> None:
    ((now,),) = archive.cluster.query("select clock_timestamp()")
    assert isinstance(now, datetime)
    assert now > moments[3]
    assert found(archive, restore(archive, "--target-time", now.isoformat())) == "1,2,3"


def test_what_lies_outside_is_refused_with_what_can_be_had(archive: Archive, moments: dict[int, datetime]) -> None:
    early = archive.pitr("restore", "--target-time", "2026-01-01 00:00Z").exits(REFUSED)
    assert "the nearest moment after it is" in early.error
    ahead = (moments[3] + timedelta(days=2)).isoformat()
    late = archive.pitr("restore", "--target-time", ahead).exits(REFUSED)
    assert "--latest" in late.error
    assert not list((archive.pgkeeper.state / "pitr" / "side").glob("*"))


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(archive: Archive, moments: dict[int, datetime]) -> None:
    plan = archive.pitr("restore", "--target-time", moments[1].isoformat(), "--dry-run").exits(DONE).json
    assert plan["repository"] == "local"
    assert plan["size_bytes"] > 1e6
    assert not Path(plan["directory"]).exists()


def test_nothing_is_recovered_into_what_is_productions_or_somebodys(
    archive: Archive, moments: dict[int, datetime], workspace: Workspace
) -> None:
    at = ("--target-time", moments[1].isoformat())
    link = archive.pgkeeper.state / "elsewhere"
    link.symlink_to(archive.cluster.data / "base")
    mounted = workspace.directory("side-mounted")
    subprocess.run(["mount", "--bind", str(archive.cluster.data / "base"), str(mounted)], check=True)
    try:
        for place in (
            mounted / "x",
            archive.cluster.data / "new",
            archive.repository / "new",
            archive.pgkeeper.backups,
            workspace.path / "side-fast" / "x",
            link / "x",
        ):
            run = archive.pitr("restore", *at, "--to-dir", str(place)).exits(REFUSED)
            assert "production's" in run.error
            assert not (place / "pgkeeper-side.json").exists()
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    somebodys = archive.pgkeeper.temporary / "somebodys"
    somebodys.mkdir()
    (somebodys / "letter").write_text("dear")
    assert "not empty" in archive.pitr("restore", *at, "--to-dir", str(somebodys)).exits(REFUSED).error
    assert (somebodys / "letter").read_text() == "dear"
    archive.pitr("restore", *at, "--to-dir", "relative").exits(USAGE)
    shutil.rmtree(somebodys)
    link.unlink()


def test_a_side_cluster_is_not_written_over_and_a_killed_recovery_is(archive: Archive, moments: dict[int, datetime]) -> None:
    place = archive.pgkeeper.state / "pitr" / "side" / "mine"
    at = ("--target-time", moments[2].isoformat(), "--to-dir", str(place))
    before = production(archive)
    with archive.pgkeeper.start("pitr", "restore", *at) as running:
        wait_until((place / "data" / "PG_VERSION").exists, "files of the backup")
        archive.pitr("restore", *at).exits(BUSY)
        running.signal(signal.SIGKILL)
        running.result()
    with archive.pgkeeper.start("pitr", "restore", *at) as running:
        wait_until((place / "data" / "postmaster.pid").exists, "the side cluster's server", 60)
        running.signal(signal.SIGKILL)
        running.result()
    archive.pitr("restore", *at).exits(DONE)
    assert archive.psql_at(place, ROWS) == "1,2"
    assert "holds a side cluster" in archive.pitr("restore", *at).exits(REFUSED).error
    assert archive.psql_at(place, ROWS) == "1,2"
    assert production(archive) == before


def test_a_side_cluster_reaches_out_for_nothing(archive: Archive, moments: dict[int, datetime]) -> None:
    before = production(archive)
    report = restore(archive, "--target-time", moments[1].isoformat())
    place = Path(report["directory"])
    assert archive.psql_at(place, "select count(*) from pg_subscription") == "1"
    assert archive.psql_at(place, "select count(*) from pg_stat_subscription where pid is not null") == "0"
    names = (
        "archive_mode", "archive_command", "primary_conninfo", "external_pid_file", "synchronous_standby_names", "listen_addresses",
        "max_logical_replication_workers", "shared_preload_libraries",
    )  # fmt: skip
    settings = {name: archive.psql_at(place, f"show {name}") for name in names}
    assert settings == {
        **dict.fromkeys(names, ""),
        "archive_mode": "off",
        "archive_command": "(disabled)",
        "max_logical_replication_workers": "0",
    }
    links = {path.readlink() for path in (place / "data" / "pg_tblspc").iterdir()}
    assert all(place in link.parents for link in links)
    assert links
    assert place.stat().st_mode & 0o777 == 0o700
    assert found(archive, report, "select n from here") == "7"
    assert production(archive) == before
    archive.cluster.execute("insert into followed values (1)")
    arrived = "select count(*) from followed"
    wait_until(lambda: archive.cluster.query(arrived, database="subscriber") == [(1,)], "what production's subscription follows")


def test_a_tablespace_made_after_the_backup_is_recovered_beside_productions_too(
    archive: Archive, moments: dict[int, datetime], workspace: Workspace
) -> None:
    # Its place stands in the log, and replaying it would write there.
    later, gone = workspace.directory("side-later"), workspace.directory("side-gone")
    archive.cluster.execute(f"create tablespace gone location '{gone}'")
    archive.cluster.execute("create table brief (n int) tablespace gone; insert into brief values (1); drop table brief;")
    archive.cluster.execute("drop tablespace gone")
    archive.cluster.execute(f"create tablespace later location '{later}'")
    archive.cluster.execute("create table late (n int) tablespace later; insert into late select generate_series(1, 1000); checkpoint;")
    ((at,),) = archive.cluster.query("select clock_timestamp()::text")
    archive.cluster.execute("update late set n = -n; checkpoint;")
    archive.switch()

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for place in (later, gone) for path in place.rglob("*") if path.is_file()}

    before, listed = files(), production(archive)
    report = restore(archive, "--target-time", str(at))
    directory = Path(report["directory"])
    assert archive.psql_at(directory, "select count(*), min(n) from late") == "1000|1"
    places = archive.psql_at(directory, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'later'")
    assert Path(places).is_relative_to(directory)
    # It stays so for whoever starts that server later, by hand.
    assert all(link.readlink().is_relative_to(directory) for link in (directory / "data" / "pg_tblspc").iterdir())
    assert found(archive, report, "select sum(n) from late") == "500500"
    assert files() == before
    assert production(archive) == listed
    archive.cluster.execute("drop table late")
    archive.cluster.execute("drop tablespace later")


def test_where_the_kernel_cannot_confine_the_server_it_is_said_and_what_would_be_written_over_is_refused(
    archive: Archive, moments: dict[int, datetime], workspace: Workspace
) -> None:
    def without_bubblewrap(*arguments: str) -> Run:
        return archive.pgkeeper("pitr", *arguments, "--json", seconds=120, within=WITHOUT_BUBBLEWRAP)

    report = without_bubblewrap("restore", "--target-time", moments[1].isoformat()).exits(DONE).json
    assert any("by its settings alone" in warning for warning in report["warnings"])
    assert found(archive, report) == "1"
    later = workspace.directory("side-unsafe")
    archive.cluster.execute(f"create tablespace unsafe location '{later}'")
    assert str(later) in without_bubblewrap("restore", "--target-time", moments[2].isoformat()).exits(REFUSED).error
    archive.cluster.execute("drop tablespace unsafe")


def test_tables_are_copied_out_into_files_that_psql_loads(archive: Archive, moments: dict[int, datetime]) -> None:
    report = restore(archive, "--target-time", moments[2].isoformat(), "--database", "postgres", "--export", "public.t", "--export", "here")
    archive.cluster.execute("create database loaded template template0")
    for path in report["exports"]:
        archive.cluster.psql("loaded", Path(path).read_text().replace("SET default_tablespace = fast;", ""))
    assert archive.cluster.query("select count(*) from t", database="loaded") == [(2,)]
    archive.cluster.drop_database("loaded")
    archive.pitr("restore", "--latest", "--export", "t").exits(USAGE)
    run = archive.pitr("restore", "--latest", "--database", "postgres", "--export", "public.nothing").exits(FAILED)
    assert "nothing" in run.error
    left = max((archive.pgkeeper.state / "pitr" / "side").glob("*"))
    assert f"pgkeeper pitr stop {left} --remove" in run.error


def test_only_side_clusters_are_stopped(archive: Archive) -> None:
    archive.pgkeeper("pitr", "stop", str(archive.cluster.data)).exits(USAGE)
    archive.pgkeeper("pitr", "stop", "/nowhere", "--remove").exits(USAGE)
    assert archive.answers()


def test_what_was_stopped_is_started_again_as_confined_as_before(archive: Archive, moments: dict[int, datetime]) -> None:
    report = restore(archive, "--target-time", moments[1].isoformat())
    directory = Path(report["directory"])
    archive.pgkeeper("pitr", "stop", str(directory)).exits(DONE)
    for _ in range(2):
        archive.pgkeeper("pitr", "start", str(directory)).exits(DONE)
        assert archive.psql_at(directory, ROWS) == "1"
    # What root is told can be pasted by root.
    with root_types(archive.pgkeeper, "pitr", "start", str(directory), shell=ALONE) as terminal:
        command = terminal.ended().strip().partition(" runs: ")[2]
    with Terminal(["/bin/sh", "-c", f"{command} -AtXc {shlex.quote(ROWS)}"], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, ALONE) as terminal:
        assert terminal.ended().split() == ["1"]
    outside = archive.cluster.data.parent / "side-fast" / "copied"
    archive.psql_at(directory, f"do $$ begin copy t to '{outside}'; exception when others then null; end $$")
    assert not outside.exists()
    archive.psql_at(directory, f"copy t to '{directory}/copied'")
    archive.pgkeeper("pitr", "stop", str(directory), "--remove").exits(DONE)
    archive.pgkeeper("pitr", "start", str(directory)).exits(USAGE)


def test_in_a_gap_nothing_is_recovered_and_the_gap_is_named(archive: Archive, moments: dict[int, datetime]) -> None:
    """The last test: what it removes is gone."""
    archive.cluster.execute("insert into t values (4)")
    first = archive.switch()
    archive.cluster.execute("insert into t values (5)")
    ((at,),) = archive.cluster.query("select clock_timestamp()")
    assert isinstance(at, datetime)
    archive.cluster.execute("insert into t values (6)")
    archive.switch()
    (lost,) = archive.repository.rglob(f"{first}-*")
    lost.unlink()
    assert first in archive.pitr("restore", "--target-time", at.isoformat()).exits(REFUSED).error
    assert "gap" in archive.pitr("restore", "--latest").exits(REFUSED).error
    assert found(archive, restore(archive, "--target-time", moments[2].isoformat())) == "1,2"


def test_recovered_clusters_are_listed_wherever_they_lie_until_they_are_removed(archive: Archive, workspace: Workspace) -> None:
    # Tests before this one have taken log away.
    elsewhere = workspace.directory("elsewhere") / "mine"
    here = restore(archive, "--immediate")
    restore(archive, "--immediate", "--to-dir", str(elsewhere))
    archive.pgkeeper("pitr", "stop", str(elsewhere)).exits(DONE)
    listed = archive.pitr("list").exits(DONE).json
    found = {one["directory"]: (one["state"], one["running"], one["port"]) for one in listed["recovered"]}
    assert found == {here["directory"]: ("recovered", True, here["port"]), str(elsewhere): ("recovered", False, here["port"])}
    assert all(one["size_bytes"] > 1_000_000 and one["since"] for one in listed["recovered"])
    assert listed["timeline"] == 1
    assert set(archive.pitr("window").exits(DONE).json["left"]) == {Path(here["directory"]).name, "mine"}
    told = [one["text"] for one in archive.pgkeeper("status", "--json").json["findings"] if "recovered cluster" in one["text"]]
    assert sorted(text.rpartition(", ")[2] for text in told) == ["running", "stopped"]
    assert [one["label"] for one in listed["repositories"][0]["backups"]] == [here["backup"]]
    assert "running, port 5432" in archive.pgkeeper("pitr", "list").exits(DONE).stdout
    assert archive.pitr("remove", "mine").exits(DONE).json["removed"] is False
    assert archive.pitr("remove", "mine", "--confirm", "mine").exits(DONE).json["paths"] == [str(elsewhere)]
    assert not elsewhere.exists()
    running = Path(here["directory"])
    archive.pitr("remove", running.name, "--confirm", "mine").exits(REFUSED)
    assert archive.psql_at(running, "select 1") == "1"
    assert [one["directory"] for one in archive.pitr("list").exits(DONE).json["recovered"]] == [here["directory"]]
    assert archive.pitr("remove", running.name, "--confirm", running.name).exits(DONE).json["running"] is True
    assert not running.exists()
    assert archive.pitr("list").exits(DONE).json["recovered"] == []
