"""Jobs: every long operation is one, whoever looks sees how far it is, and one that died is said to have died."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from .support.hindrance import STALLED_SCRIPT, stalled, wait_for_stalled_session
from .support.product import BUSY, DONE, FAILED, USAGE, Pgkeeper
from .support.waiting import wait_until


def jobs(pgkeeper: Pgkeeper) -> list[dict[str, Any]]:
    return list(pgkeeper("job", "list", "--json").exits(DONE).json["jobs"])


def job(pgkeeper: Pgkeeper, job_id: str) -> dict[str, Any]:
    return dict(pgkeeper("job", "show", job_id, "--json").exits(DONE).json)


def test_every_long_operation_is_a_job(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    assert "no job yet" in pgkeeper("job", "list").exits(DONE).stdout
    backup_id = pgkeeper.backup("app")
    pgkeeper("verify", backup_id).exits(DONE)
    pgkeeper.restore(backup_id, "--to", "again")
    pgkeeper("expire").exits(DONE)
    pgkeeper("backup", "--database", "missing").exits(FAILED)
    found = jobs(pgkeeper)
    assert [(job["operation"], job["state"]) for job in found] == [
        ("backup", "failed"), ("expire", "done"), ("restore", "done"), ("verify", "done"), ("backup", "done"),
    ]  # fmt: skip
    assert all(job["job_id"].startswith(f"{job['operation']}-20") for job in found)
    assert found[-1]["result"]["outcomes"][0]["backup_id"] == backup_id
    assert not list((pgkeeper.state / "locks").glob("job*")), "nobody needs the lock of a job that has ended"
    log = pgkeeper("job", "log", found[0]["job_id"], "--json").exits(DONE).json
    assert [event["kind"] for event in log["events"]] == ["error"]
    assert "missing" in log["events"][0]["text"]


def test_a_running_job_can_be_watched(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start("backup", "--database", "stalling", "--job", "b1") as running:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        wait_until(lambda: "dump of stalling" in pgkeeper("job", "show", "b1").stdout, "the job in its phase")
        shown = job(pgkeeper, "b1")
        assert (shown["state"], shown["phase"], shown["pid"]) == ("running", "dump of stalling", running.pid)
        assert "running" in pgkeeper("job", "list").exits(DONE).stdout
        assert "b1 is already running" in pgkeeper("backup", "--job", "b1").exits(BUSY).error
        assert job(pgkeeper, "b1")["state"] == "running", "whoever was turned away changed nothing"
        with pgkeeper.start("job", "log", "b1", "--follow") as follower:
            release()
            running.result().exits(DONE)
            log = follower.result().exits(DONE).stdout
    assert log.splitlines()[-1].endswith("  phase    read back stalling")
    assert job(pgkeeper, "b1")["state"] == "done"


def test_a_job_that_is_done_is_not_done_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    call = ("backup", "--database", "app", "--job", "b1", "--json")
    first = pgkeeper(*call).exits(DONE).json
    assert pgkeeper(*call).exits(DONE).json == first
    assert len(pgkeeper.published()) == 1
    assert "was another one" in pgkeeper("verify", "--job", "b1").exits(USAGE).error
    assert "no job id" in pgkeeper("verify", "--job", "../b1").exits(USAGE).error
    assert "no job b2" in pgkeeper("job", "show", "b2").exits(USAGE).error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_job_that_was_told_to_stop_has_failed(pgkeeper: Pgkeeper, number: signal.Signals) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling"), pgkeeper.start("backup", "--database", "stalling", "--job", "b1") as running:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        running.signal(number)
        running.result(20).exits(FAILED)
    stopped = job(pgkeeper, "b1")
    assert (stopped["state"], stopped["error"]["what"]) == ("failed", f"stopped by {number.name}")


def test_a_job_that_was_killed_is_lost_and_can_be_begun_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    for job_id in ("b1", "b2"):
        with stalled(pgkeeper.cluster, "stalling"), pgkeeper.start("backup", "--database", "stalling", "--job", job_id) as running:
            wait_for_stalled_session(pgkeeper.cluster, "stalling")
            wait_until(lambda job_id=job_id: job(pgkeeper, job_id)["phase"] == "dump of stalling", "the job")  # type: ignore[misc]
            running.signal(signal.SIGKILL)
            running.process.wait()
            if job_id == "b1":
                assert job(pgkeeper, "b1")["state"] == "lost"
    pgkeeper("expire").exits(DONE)
    with closing(sqlite3.connect(pgkeeper.state / "catalog.db")) as connection:
        assert connection.execute("select job_id, state from jobs where operation = 'backup' order by 1").fetchall() == [
            ("b1", "lost"),
            ("b2", "lost"),
        ], "the next run settles what died"
    assert "killed" in pgkeeper("job", "log", "b2").exits(DONE).stdout
    pgkeeper("backup", "--database", "stalling", "--job", "b1").exits(DONE)
    assert job(pgkeeper, "b1")["state"] == "done"
    assert "killed" not in pgkeeper("job", "log", "b1").exits(DONE).stdout


def test_a_list_is_short_and_leaves_out_nothing_that_runs(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start("backup", "--database", "stalling", "--job", "b1") as running:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        wait_until(lambda: "dump of stalling" in pgkeeper("job", "show", "b1").stdout, "the job in its phase")
        for number in range(3):
            pgkeeper("expire", "--job", f"e{number}").exits(DONE)
        assert [job["job_id"] for job in jobs(pgkeeper)] == ["e2", "e1", "e0", "b1"]
        short = pgkeeper("job", "list", "--limit", "2", "--json").exits(DONE).json
        assert ([job["job_id"] for job in short["jobs"]], short["older"]) == (["e2", "b1"], 2)
        assert "2 older ones" in pgkeeper("job", "list", "-n", "2").exits(DONE).stdout
        release()
        running.result().exits(DONE)
    with closing(sqlite3.connect(pgkeeper.state / "catalog.db")) as connection, connection:
        columns = [str(row[1]) for row in connection.execute("pragma table_info(jobs)")]
        values = ", ".join("job_id || '-' || n" if column == "job_id" else f'"{column}"' for column in columns)
        connection.execute(
            f"with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 1000)"
            f" insert into jobs select {values} from jobs, numbers where job_id = 'e0'"
        )
    assert (len(jobs(pgkeeper)), len(pgkeeper("job", "list").exits(DONE).stdout.splitlines())) == (50, 52)
    everything = pgkeeper("job", "list", "--limit", "0", "--json").exits(DONE).json
    assert (len(everything["jobs"]), everything["older"]) == (1004, 0)
    assert "--limit" in pgkeeper("job", "list", "--limit", "-1").exits(USAGE).error


def test_two_processes_record_their_jobs_at_once(pgkeeper: Pgkeeper) -> None:
    for name in ("one", "two", "three"):
        pgkeeper.create_database(name)
    with (
        pgkeeper.start("backup", "--database", "one", "--job", "j1") as one,
        pgkeeper.start("backup", "--database", "two", "--job", "j2") as two,
        pgkeeper.start("backup", "--database", "three", "--job", "j3") as three,
    ):
        runs = [running.result().exits(DONE) for running in (one, two, three)]
    assert not any(run.warnings for run in runs), [run.output for run in runs]
    assert {(job["job_id"], job["state"]) for job in jobs(pgkeeper)} == {("j1", "done"), ("j2", "done"), ("j3", "done")}


def test_a_catalog_removed_amid_a_job_gets_the_whole_job_back(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start("backup", "--database", "stalling", "--job", "b1") as running:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        wait_until(lambda: "dump of stalling" in pgkeeper("job", "show", "b1").stdout, "the job in its phase")
        for path in pgkeeper.state.glob("catalog.db*"):
            path.unlink()
        release()
        assert not running.result().exits(DONE).warnings
    assert job(pgkeeper, "b1")["state"] == "done"
    assert job(pgkeeper, "b1")["result"]["outcomes"][0]["status"] == "done"
