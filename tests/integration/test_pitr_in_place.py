"""Where there is no room for a second cluster, production itself goes back: nothing is kept, and nothing that was archived is lost."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .support.archive import Archive, archived
from .support.hindrance import belonging_to_root, small_disk
from .support.product import DONE, FAILED, INTEGRITY, REFUSED, USAGE
from .support.server_unit import ServerUnit
from .support.user import make_service_directory, service_ids
from .support.waiting import wait_until
from .support.workspace import Workspace

NUMBERS = count()
BESIDE = ("--replace", "--confirm", "RESTORE")
IN_PLACE = (*BESIDE, "--in-place")


def made(workspace: Workspace, name: str) -> Archive:
    """A cluster with a tablespace and a backup, in a directory that is the database user's own."""
    archive = archived(workspace, f"{name}/main")
    location = workspace.directory(f"{name}/fast")
    archive.cluster.execute(f"create tablespace fast location '{location}'")
    archive.cluster.execute("create table t (n int) tablespace fast")
    archive.cluster.execute("alter system set work_mem = '7MB'")
    archive.cluster.execute("create extension amcheck")
    archive.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    # What is restored begins in the second after the backup.
    time.sleep(1.1)
    return archive


@pytest.fixture
def archive(workspace: Workspace) -> Iterator[Archive]:
    # Short, since a socket's path has an end.
    name = f"i{next(NUMBERS)}"
    workspace.directory(name, 0o755)
    archive = made(workspace, name)
    yield archive
    # Nothing of what was needed on the way is left, in production or beside.
    assert beside(archive) == []
    archive.end()


@pytest.fixture
def unit(archive: Archive) -> Iterator[ServerUnit]:
    with ServerUnit(archive.pgkeeper).running() as unit:
        yield unit


def beside(archive: Archive) -> list[str]:
    """What lies beside production's files, and was made by us."""
    home = archive.cluster.data.parent
    found = [*home.glob("main-data.*"), *home.glob("*/.pgkeeper-*"), *archive.pgkeeper.state.glob("pitr/side/*")]
    return sorted(path.name for path in found)


def steps(archive: Archive) -> str:
    return "".join(path.read_text() for path in (archive.pgkeeper.state / "cluster-replacements").glob("*.jsonl"))


def in_status(archive: Archive) -> str:
    """What needs the owner."""
    report = archive.pgkeeper("status", "--json").exits(FAILED).json
    return "\n".join(finding["text"] for finding in report["findings"] if finding["level"] == "problem")


def kill_when(archive: Archive, at: str, reached: Callable[[], object], what: str) -> None:
    """Begin a replacement in place, and kill it when `reached` comes true."""
    with archive.pgkeeper.start("pitr", "restore", "--target-time", at, *IN_PLACE) as running:
        wait_until(lambda: reached() or running.process.poll() is not None, what, 60)
        assert running.process.poll() is None, running.result().output
        running.signal(signal.SIGKILL)
        running.result()


def test_production_goes_back_and_what_came_later_can_still_be_recovered(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    refused = archive.pitr("restore", "--target-time", at, "--replace", "--in-place").exits(REFUSED)
    assert "nothing of its files would be kept" in refused.error
    plan = archive.pitr("restore", "--target-time", at, "--replace", "--in-place", "--dry-run").exits(DONE).json
    assert (plan["in_place"], "nothing of its files would be kept" in plan["reason"]) == (True, True)
    assert unit.history() == []

    # Just before: it is in no ended segment yet.
    archive.write(3)
    replaced: dict[str, Any] = archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(DONE).json
    assert archive.numbers() == [1]
    assert (replaced["in_place"], replaced["kept_as"], replaced["timeline"], replaced["archived"]) == (True, "", 2, True)
    assert (replaced["backup"] is None, replaced["unchecked"]) == (False, [])
    assert unit.history() == ["stop", "start"]
    assert archive.cluster.query("show work_mem") == [("7MB",)]
    assert "in place" in archive.pitr("undo", "--confirm", "RESTORE").exits(REFUSED).error

    archive.write(4)
    archive.switch()
    for wish, found in ((("--latest", "--timeline", "1"), "1,2,3"), (("--latest",), "1,4")):
        side = Path(archive.pitr("restore", *wish).exits(DONE).json["directory"])
        assert archive.psql_at(side, "select string_agg(n::text, ',' order by n) from t") == found
        archive.pgkeeper("pitr", "stop", str(side), "--remove").exits(DONE)
    # And production itself can be there again.
    archive.pitr("restore", "--latest", "--timeline", "1", *IN_PLACE).exits(DONE)
    assert archive.numbers() == [1, 2, 3]


def test_what_is_written_until_production_is_stopped_is_archived(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    with archive.pgkeeper.start("pitr", "restore", "--target-time", at, *IN_PLACE) as running:
        wait_until(lambda: '"step": "begun"' in steps(archive), "its beginning")
        number = 2
        while '"step": "overwriting"' not in steps(archive):
            try:
                archive.write(number + 1)
                number += 1
            except psycopg.Error:
                break
        running.result().exits(DONE)
    assert archive.numbers() == [1]
    side = Path(archive.pitr("restore", "--latest", "--timeline", "1").exits(DONE).json["directory"])
    assert archive.psql_at(side, "select max(n) from t") in (str(number), str(number + 1))
    archive.pgkeeper("pitr", "stop", str(side), "--remove").exits(DONE)


def test_tablespaces_made_and_dropped_since_the_backup_are_as_they_were(archive: Archive, unit: ServerUnit, workspace: Workspace) -> None:
    home = archive.cluster.data.parent
    dropped, younger, youngest = (workspace.directory(f"{home.name}/{name}") for name in ("dropped", "younger", "youngest"))
    archive.cluster.execute(f"create tablespace dropped location '{dropped}'")
    archive.cluster.execute("create table d tablespace dropped as select 7 as n")
    archive.cluster.execute(f"create tablespace younger location '{younger}'")
    archive.cluster.execute("create table y (n int) tablespace younger; insert into y values (8)")
    at = archive.write(1)
    # Files of a later state, under names that the log will make again, and under others.
    archive.cluster.execute("insert into y select generate_series(9, 9999)")
    archive.cluster.execute("create table later tablespace younger as select generate_series(1, 9999)")
    archive.cluster.execute("drop table d")
    archive.cluster.execute("drop tablespace dropped")
    archive.cluster.execute(f"create tablespace youngest location '{youngest}'")
    archive.cluster.execute("create table z tablespace youngest as select 9 as n")
    archive.cluster.execute("checkpoint")
    archive.switch()
    ((left,),) = archive.cluster.query("select pg_relation_filepath('later')")
    archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(DONE)

    asked = archive.cluster.query("select pg_tablespace_location(oid) from pg_tablespace where spcname not like 'pg_%%' order by 1")
    assert [Path(str(location)).name for (location,) in asked] == ["dropped", "fast", "younger"]
    assert archive.numbers() == [1]
    assert archive.cluster.query("select n from d union all select n from y order by n") == [(7,), (8,)]
    assert list(younger.glob(f"PG_*/*/{Path(str(left)).name}")) == []
    assert list(youngest.glob("PG_*")) == []


def is_fetching(archive: Archive) -> bool:
    return (archive.cluster.data / "backup.manifest").exists()


def is_fetched(archive: Archive) -> bool:
    return '"step": "overwriting"' in steps(archive) and (archive.cluster.data / "recovery.signal").exists()


def is_replaying(archive: Archive) -> bool:
    return '"step": "overwriting"' in steps(archive) and (archive.cluster.data / "postmaster.pid").exists()


@pytest.mark.parametrize("again", ["in place", "beside"])
@pytest.mark.parametrize("reached", [is_fetching, is_fetched, is_replaying])
def test_killed_before_the_files_are_whole_production_stays_down_until_it_is_done(
    archive: Archive, unit: ServerUnit, reached: Callable[[Archive], bool], again: str
) -> None:
    # Enough to be killed amid it.
    archive.cluster.execute("create table much as select n, repeat('x', 500) as x from generate_series(1, 60000) n")
    archive.pitr("backup", "--kind", "full").exits(DONE)
    time.sleep(1.1)
    at = archive.write(1)
    archive.cluster.execute("update much set n = n + 1")
    archive.write(2)
    archive.switch()
    kill_when(archive, at, lambda: reached(archive), reached.__name__)

    for _ in range(2):
        error = archive.pitr("resume").exits(FAILED).error
        assert ("production is down" in error, "--in-place" in error) == (True, True)
        assert not archive.answers()
        assert not (archive.cluster.data / "postmaster.pid").exists()
    assert "production is down" in archive.pitr("undo", "--confirm", "RESTORE").exits(FAILED).error
    assert "in place" in in_status(archive)
    assert "in place" in archive.pgkeeper("doctor").exits(FAILED).output
    assert "start" not in unit.history()

    done = archive.pitr("restore", "--target-time", at, *(IN_PLACE if again == "in place" else BESIDE)).exits(DONE).json
    assert archive.numbers() == [1]
    assert archive.cluster.query("select count(*), max(n) from much") == [(60000, 60000)]
    # Ours was not taken for production's.
    assert archive.cluster.query("show work_mem") == [("7MB",)]
    assert "archive_mode" not in (archive.cluster.data / "postgresql.auto.conf").read_text()
    assert (done["kept_as"], done["archived"], unit.history()[-1]) == ("", True, "start")
    assert archive.pitr("resume").exits(DONE).json["settled"] == []
    archive.pitr("undo", "--confirm", "RESTORE").exits(REFUSED)
    remove_left_aside(archive)


def test_production_that_somebody_repaired_by_hand_is_left_alone(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    kill_when(archive, at, lambda: is_fetching(archive), "fetching")
    archive.pitr("resume").exits(FAILED)
    archive.pgbackrest("restore", "--delta", "--type=default")
    archive.cluster.start()
    wait_until(archive.answers, "production")
    before = unit.history()
    (said,) = archive.pitr("resume").exits(DONE).json["settled"]
    assert "somebody has brought production up" in said
    assert (archive.numbers(), unit.history()) == ([1, 2], before)
    assert archive.pitr("resume").exits(DONE).json["settled"] == []


def remove_left_aside(archive: Archive) -> None:
    """What a replacement beside moved out of its way, and named for removal."""
    for path in (*archive.cluster.data.parent.glob("main-data.before-*"), *archive.cluster.data.parent.glob("*/.pgkeeper-before-*")):
        shutil.rmtree(path)


@pytest.mark.parametrize("moment", ["recovered", "checking", "archiving", "starting"])
def test_killed_after_the_files_are_whole_it_is_finished(archive: Archive, unit: ServerUnit, moment: str) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    kill_when(archive, at, lambda: f'"step": "{moment}"' in steps(archive), moment)
    archive.pitr("resume").exits(DONE)
    wait_until(archive.answers, "production")
    assert '"step": "undone"' not in steps(archive)
    assert archive.numbers() == [1]
    assert archive.cluster.query("show work_mem") == [("7MB",)]
    assert archive.cluster.query("select timeline_id from pg_control_checkpoint()") == [(2,)]
    archive.write(5)
    archive.switch()
    assert archive.pitr("resume").exits(DONE).json["settled"] == []


@pytest.mark.parametrize("moment", ["begun", "stopping"])
def test_killed_before_anything_is_written_production_runs_on_its_files(archive: Archive, unit: ServerUnit, moment: str) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    kill_when(archive, at, lambda: f'"step": "{moment}"' in steps(archive), moment)
    archive.pitr("resume").exits(DONE)
    wait_until(archive.answers, "production")
    assert archive.numbers() in ([1, 2], [1])
    assert '"step": "undone"' in steps(archive)


def test_nothing_is_written_over_that_could_not_be_archived(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.switch()
    archive.write(2)
    archive.switch()
    archive.write(3)
    # It says that it did, and throws the log away.
    archive.cluster.execute("alter system set archive_command = '/bin/true'")
    archive.cluster.execute("select pg_reload_conf()")
    run = archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(REFUSED)
    assert ("was not written over" in run.error, "archive_command" in run.error) == (True, True)
    archive.cluster.execute("alter system reset archive_command")
    archive.cluster.execute("select pg_reload_conf()")
    (place,) = archive.repository.glob("archive/*/*/0000000100000000")
    with belonging_to_root(place):
        archive.cluster.execute("select pg_switch_wal()")
        wait_until(lambda: archive.cluster.query("select failed_count > 0 from pg_stat_archiver") == [(True,)], "a failure", 60)
        run = archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(REFUSED)
    assert "was not written over" in run.error
    assert (archive.numbers(), unit.history()) == ([1, 2, 3], [])


def test_nothing_is_written_over_whose_end_could_not_be_archived(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    # Archiving works until PostgreSQL is stopped.
    command = str(archive.cluster.query("show archive_command")[0][0])
    wrapper = archive.pgkeeper.home / "pgbackrest"
    stopping = f'grep -qs \'"step": "stopping"\' {archive.pgkeeper.state}/cluster-replacements/*.jsonl'
    wrapper.write_text(f'#!/bin/sh\n{stopping} && exit 1\nexec pgbackrest "$@"\n')
    wrapper.chmod(0o755)
    archive.cluster.execute(f"alter system set archive_command = '{command.replace('pgbackrest', str(wrapper), 1)}'")
    archive.cluster.execute("select pg_reload_conf()")
    with archive.pgkeeper.start("pitr", "restore", "--target-time", at, *IN_PLACE) as running:
        wait_until(lambda: '"step": "begun"' in steps(archive), "its beginning")
        number = 2
        while '"step": "undone"' not in steps(archive):
            try:
                number += int(bool(archive.write(number + 1)))
            except psycopg.Error:
                break
        run = running.result(120).exits(FAILED)
    assert ("the end of its log was not archived" in run.error, "services run" in run.error) == (True, True)
    wait_until(archive.answers, "production")
    assert archive.numbers()[:number] == list(range(1, number + 1))
    assert '"step": "overwriting"' not in steps(archive)
    archive.cluster.execute("alter system reset archive_command")


def test_the_end_of_a_log_that_nobody_can_archive_is_told_beforehand(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    archive.write(3)
    archive.crash()
    run = archive.pitr("restore", "--target-time", at, "--replace", "--in-place").exits(REFUSED)
    assert "the end of its log is not archived" in run.error
    archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(DONE)
    assert archive.numbers() == [1]


def test_another_cluster_is_not_written_over(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    archive.cluster.stop()
    own, aside = archive.cluster.data, archive.cluster.data.parent / "own"
    own.rename(aside)
    try:
        make_service_directory(own)
        archive.cluster._initialise()
        run = archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(REFUSED)
        assert "another cluster" in run.error
    finally:
        shutil.rmtree(own)
        aside.rename(own)
        archive.cluster.start()
    assert (archive.numbers(), unit.history()) == ([1, 2], [])


def test_nothing_is_written_over_where_postgresql_runs_but_lets_nobody_in(archive: Archive, unit: ServerUnit) -> None:
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    archive.write(3)
    access = archive.cluster.data / "pg_hba.conf"
    rules = access.read_text()
    with archive.cluster.connect() as session:
        access.write_text("local all all reject\nhost all all all reject\n")
        session.execute("select pg_reload_conf()")
        wait_until(lambda: not archive.answers(), "its refusal")
        for how in (("--dry-run",), ()):
            error = archive.pitr("restore", "--target-time", at, *IN_PLACE, *how).exits(REFUSED).error
            assert ("PostgreSQL runs" in error, "rejects connection" in error, "pg_hba.conf" in error) == (True, True, True)
        access.write_text(rules)
        session.execute("select pg_reload_conf()")
    wait_until(archive.answers, "production")
    assert (archive.numbers(), unit.history()) == ([1, 2, 3], [])


def test_a_damaged_page_is_said_and_an_earlier_moment_can_be_had(archive: Archive, unit: ServerUnit) -> None:
    archive.cluster.execute("create table pages as select n from generate_series(1, 1000) n")
    archive.cluster.execute("checkpoint")
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    ((path,),) = archive.cluster.query("select pg_relation_filepath('pages')")
    archive.cluster.stop()
    with (archive.cluster.data / str(path)).open("r+b") as file:
        # The first row's pointer, a normal one, leads out of its page.
        file.seek(24)
        file.write(b"\xff\xff\xc8\x00")
    archive.cluster.start()
    archive.pitr("backup", "--kind", "full")
    time.sleep(1.1)
    bad = archive.write(3)
    archive.write(4)
    archive.switch()
    label = archive.pgbackrest("info").rpartition("full backup: ")[2].split()[0]
    error = archive.pitr("restore", "--target-time", bad, "--backup", label, *IN_PLACE).exits(INTEGRITY).error
    assert ("production is down" in error, "earlier moment" in error) == (True, True)
    archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(DONE)
    assert archive.numbers() == [1]


def test_whole_files_that_do_not_start_are_kept_until_they_do(archive: Archive, unit: ServerUnit) -> None:
    # A library that is gone: the backup's own settings ask for it.
    archive.cluster.execute("alter system set shared_preload_libraries = 'nowhere'")
    archive.pitr("backup", "--kind", "full").exits(DONE)
    archive.cluster.execute("alter system reset shared_preload_libraries")
    time.sleep(1.1)
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    error = archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(FAILED).error
    assert "does not start on the recovered files" in error
    assert "does not start on the recovered files" in archive.pitr("resume").exits(FAILED).error
    settings = archive.cluster.data / "postgresql.auto.conf"
    settings.write_text(settings.read_text().replace("shared_preload_libraries", "#"))
    archive.pitr("resume").exits(DONE)
    assert archive.numbers() == [1]


def test_too_little_space_names_this_way_and_it_serves(workspace: Workspace) -> None:
    name = f"i{next(NUMBERS)}"
    home = workspace.directory(name)
    with small_disk(home, 280 << 10):
        archive = made(workspace, name)
        with ServerUnit(archive.pgkeeper).running():
            try:
                at = archive.write(1)
                archive.write(2)
                archive.switch()
                run = archive.pitr("restore", "--target-time", at, *BESIDE).exits(REFUSED)
                assert ("too little space" in run.error, "--in-place" in run.error, "no undo" in run.error) == (True, True, True)
                archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(DONE)
                assert archive.numbers() == [1]
            finally:
                archive.cluster.stop()


def test_a_log_that_lies_elsewhere_stays_there(archive: Archive, unit: ServerUnit, workspace: Workspace) -> None:
    elsewhere = archive.cluster.data.parent / "log"
    archive.cluster.stop()
    (archive.cluster.data / "pg_wal").rename(elsewhere)
    (archive.cluster.data / "pg_wal").symlink_to(elsewhere)
    archive.cluster.start()
    archive.pitr("backup", "--kind", "full").exits(DONE)
    time.sleep(1.1)
    at = archive.write(1)
    archive.write(2)
    archive.switch()
    # Root made the link, as people do.
    run = archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(REFUSED)
    assert "pg_wal is not postgres's own" in run.error
    os.chown(archive.cluster.data / "pg_wal", *service_ids(), follow_symlinks=False)
    archive.pitr("restore", "--target-time", at, *IN_PLACE).exits(DONE)
    assert (archive.cluster.data / "pg_wal").readlink() == elsewhere
    assert archive.numbers() == [1]


def test_in_place_is_for_replace(archive: Archive) -> None:
    assert "--replace" in archive.pitr("restore", "--latest", "--in-place").exits(USAGE).error
