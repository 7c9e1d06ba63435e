"""A backup that is cut off leaves nothing behind, harms nothing older, and says why."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from .support.hindrance import (
    BULKY_SCRIPT,
    STALLED_SCRIPT,
    belonging_to_root,
    frozen_amid_data,
    small_disk,
    stalled,
    wait_for_stalled_session,
)
from .support.processes import is_alive
from .support.product import DONE, FAILED, Pgkeeper, fingerprint
from .support.waiting import wait_until


def test_a_killed_pg_dump_is_a_failed_backup(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("bulky", BULKY_SCRIPT)
    with pgkeeper.start("backup", "--database", "bulky") as running:
        with frozen_amid_data(pgkeeper, "bulky", running):
            os.kill(running.wait_for_child("pg_dump"), signal.SIGKILL)
        run = running.result().exits(FAILED)
    assert "bulky" in run.error
    assert "pg_dump" in run.error
    assert "signal 9" in run.error or "SIGKILL" in run.error
    assert not pgkeeper.published()


def test_a_killed_server_session_is_a_failed_backup(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("bulky", BULKY_SCRIPT)
    with pgkeeper.start("backup", "--database", "bulky") as running:
        with frozen_amid_data(pgkeeper, "bulky", running) as server_process:
            pgkeeper.cluster.query("select pg_terminate_backend(%s, 5000)", server_process)
        run = running.result().exits(FAILED)
    assert "bulky" in run.error
    assert "terminating connection" in run.error or "closed the connection" in run.error
    assert not pgkeeper.published()


def test_a_session_killed_before_the_data_is_a_failed_backup(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling"), pgkeeper.start("backup", "--database", "stalling") as running:
        server_process = wait_for_stalled_session(pgkeeper.cluster, "stalling")
        pgkeeper.cluster.query("select pg_terminate_backend(%s, 5000)", server_process)
        run = running.result().exits(FAILED)
    assert "stalling" in run.error
    assert not pgkeeper.published()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_run_that_is_told_to_stop_cleans_up(pgkeeper: Pgkeeper, number: signal.Signals) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling"), pgkeeper.start("backup", "--database", "stalling") as running:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        running.signal(number)
        run = running.result(20)
        assert run.exit_status in (FAILED, 128 + number), run.output
        assert number.name in run.error
        assert "Traceback" not in run.output
        assert not pgkeeper.published()
        assert not pgkeeper.debris()
        assert not pgkeeper.processes()
    assert not pgkeeper.published()


def test_what_a_killed_run_left_goes_with_the_next_run(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    first = pgkeeper.backup("stalling")
    before = fingerprint(pgkeeper.published()[0])
    with stalled(pgkeeper.cluster, "stalling"), pgkeeper.start("backup", "--database", "stalling") as running:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        children = [pid for pid in (running.wait_for_child("pg_dump"),) if is_alive(pid)]
        running.signal(signal.SIGKILL)
        running.process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in children), "the end of the orphaned pg_dump")
        assert pgkeeper.debris(), "this test expects that a killed run can't clean up"
    assert [path.name for path in pgkeeper.published()] == [first]
    second = pgkeeper.backup("stalling")
    assert [path.name for path in pgkeeper.published()] == sorted([first, second])
    assert not pgkeeper.debris()
    assert fingerprint(pgkeeper.published()[0]) == before


def test_a_server_that_is_down_is_said_to_be_down(pgkeeper: Pgkeeper) -> None:
    run = pgkeeper("backup", env={"PGHOST": str(pgkeeper.home), "PGPORT": "5999"}).exits(FAILED)
    assert "5999" in run.error
    assert str(pgkeeper.home) in run.error
    assert not pgkeeper.published()


def test_a_server_that_goes_down_meanwhile_fails_the_backup(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("bulky", BULKY_SCRIPT)
    with pgkeeper.start("backup", "--database", "bulky") as running:
        with frozen_amid_data(pgkeeper, "bulky", running):
            pgkeeper.cluster.stop()
        try:
            run = running.result().exits(FAILED)
        finally:
            pgkeeper.cluster.start()
    assert "bulky" in run.error
    assert not pgkeeper.published()


def test_a_wrong_password_is_named_as_such(pgkeeper: Pgkeeper) -> None:
    password_file = pgkeeper.home / "pgpass"
    password_file.write_text("*:*:*:*:planted-Wrong-Secret-4\n")
    password_file.chmod(0o600)
    os.chown(password_file, *pgkeeper.owner)
    environment = {"PGHOST": "127.0.0.1", "PGUSER": "postgres", "PGPASSFILE": str(password_file)}
    run = pgkeeper("backup", env=environment).exits(FAILED)
    assert "password authentication failed" in run.error
    assert "PGPASSFILE" in run.error
    assert "planted" not in run.output
    assert not pgkeeper.published()


def test_a_right_password_file_is_honoured(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("over_tcp")
    pgkeeper.cluster.execute("alter role postgres password 'planted-Right-Secret: \\5'")
    password_file = pgkeeper.home / "pgpass"
    password_file.write_text("127.0.0.1:*:*:postgres:planted-Right-Secret\\: \\\\5\n")
    password_file.chmod(0o600)
    os.chown(password_file, *pgkeeper.owner)
    environment = {"PGHOST": "127.0.0.1", "PGUSER": "postgres", "PGPASSFILE": str(password_file)}
    try:
        pgkeeper("backup", "--database", "over_tcp", env=environment).exits(DONE)
    finally:
        pgkeeper.cluster.execute("alter role postgres password null")
    assert len(pgkeeper.published()) == 1


def test_a_full_disk_fails_the_backup_and_keeps_the_older_one(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("growing", "create table t as select sha256(n::text::bytea) from generate_series(1, 20) n;")
    with small_disk(pgkeeper.backups, 250):
        first = pgkeeper.backup("growing")
        before = fingerprint(pgkeeper.published()[0])
        pgkeeper.cluster.psql("growing", "insert into t select sha256(n::text::bytea) from generate_series(1, 40000) n;")
        run = pgkeeper("backup", "--database", "growing").exits(FAILED)
        assert "No space left" in run.error
        assert "growing" in run.error or str(pgkeeper.backups) in run.error
        assert [path.name for path in pgkeeper.published()] == [first]
        assert fingerprint(pgkeeper.published()[0]) == before
        assert not pgkeeper.debris()
        pgkeeper("verify", first).exits(DONE)


def test_doctor_warns_where_less_is_free_than_the_last_backups_took(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    with small_disk(pgkeeper.backups, 250):
        pgkeeper.backup("app")
        about = [finding["text"] for finding in pgkeeper("doctor", "--json").json["findings"] if finding["subject"] == "BACKUP_DIR"]
        assert not [text for text in about if "the last backups of all databases took" in text]
        filler = pgkeeper.backups / "filler"
        filler.write_bytes(b"x" * (shutil.disk_usage(pgkeeper.backups).free - 8192))
        about = [finding["text"] for finding in pgkeeper("doctor", "--json").json["findings"] if finding["subject"] == "BACKUP_DIR"]
        assert [text for text in about if "the last backups of all databases took" in text]
        # What is gone is not backed up again, so it needs no room.
        pgkeeper.cluster.drop_database("app")
        about = [finding["text"] for finding in pgkeeper("doctor", "--json").json["findings"] if finding["subject"] == "BACKUP_DIR"]
        assert not [text for text in about if "the last backups of all databases took" in text]
        filler.unlink()


def test_a_disk_that_fills_while_the_dump_is_being_read_back_fails_the_backup(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("large", "create table t as select sha256(n::text::bytea) from generate_series(1, 800000) n;")
    with small_disk(pgkeeper.backups, 24 * 1024):
        run = pgkeeper("backup", "--database", "large").exits(FAILED)
        assert "No space left" in run.error
        assert not pgkeeper.published()
        assert not pgkeeper.debris()


@pytest.mark.parametrize("kilobytes", [4, 16, 24, 32, 40, 48, 64])
def test_a_disk_that_fills_at_any_point_publishes_nothing_half(pgkeeper: Pgkeeper, kilobytes: int) -> None:
    pgkeeper.create_database("small", "create table t as select sha256(n::text::bytea) from generate_series(1, 200) n;")
    with small_disk(pgkeeper.backups, kilobytes):
        run = pgkeeper("backup", "--database", "small")
        if run.exit_status == DONE:
            pgkeeper("verify", "latest").exits(DONE)
        else:
            run.exits(FAILED)
            assert "No space left" in run.error
            assert not pgkeeper.published()
        assert not pgkeeper.debris()


def test_a_full_disk_under_state_or_logs_is_no_silent_success(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("small")
    with small_disk(pgkeeper.logs, 4):
        (pgkeeper.logs / "filler").write_bytes(b"\0" * 4096)
        run = pgkeeper("backup", "--database", "small")
    assert run.exit_status in (DONE, FAILED)
    assert (run.exit_status == DONE) == (len(pgkeeper.published()) == 1)
    if run.exit_status == FAILED:
        assert run.error


@pytest.mark.parametrize("which", ["backups", "state"])
def test_a_directory_one_may_not_write_is_named(pgkeeper: Pgkeeper, which: str) -> None:
    pgkeeper.create_database("small")
    place = pgkeeper.home / which
    with belonging_to_root(place):
        run = pgkeeper("backup", "--database", "small")
    assert run.exit_status == FAILED, run.output
    assert str(place) in run.error
    assert "Permission denied" in run.error
    assert not pgkeeper.published()


def test_one_failing_database_does_not_stop_the_others(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("good")
    pgkeeper.create_database("worse")
    run = pgkeeper("backup", "--database", "good", "--database", "missing", "--database", "worse", "--json")
    run.exits(FAILED)
    assert run.outcome("good")["status"] == "done"
    assert run.outcome("worse")["status"] == "done"
    assert run.outcome("missing")["status"] == "failed"
    assert "missing" in run.outcome("missing")["error"]["what"]
    assert len(pgkeeper.published()) == 2


def test_a_table_dropped_meanwhile_leads_to_a_whole_backup_or_none(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("moving", "create table stays (a int); create table goes as select 1 as a;")
    with pgkeeper.cluster.connect("moving") as session:
        session.execute("begin")
        session.execute("drop table goes")
        with pgkeeper.start("backup", "--database", "moving") as running:
            wait_for_stalled_session(pgkeeper.cluster, "moving")
            session.execute("commit")
            run = running.result()
    if run.exit_status == DONE:
        pgkeeper("verify", "latest").exits(DONE)
    else:
        run.exits(FAILED)
        assert "goes" in run.error
        assert not pgkeeper.published()
    pgkeeper("backup", "--database", "moving").exits(DONE)


def test_rows_written_meanwhile_are_not_half_in(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT + "create table late (n int);")
    with (
        stalled(pgkeeper.cluster, "stalling") as release,
        pgkeeper.start("backup", "--database", "stalling", "--json") as running,
    ):
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        pgkeeper.cluster.psql("stalling", "insert into late values (1); insert into kept values (-1, 'late');")
        release()
        run = running.result().exits(DONE)
    assert run.outcome("stalling")["rows"] == 2000
