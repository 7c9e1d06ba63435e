"""Runs that meet each other, and locks that others hold."""

from __future__ import annotations

import time

from .support.hindrance import STALLED_SCRIPT, locked, stalled, wait_for_stalled_session
from .support.product import BUSY, DONE, Pgkeeper
from .support.waiting import wait_until

CALL = ("backup", "--database", "stalling")


def test_a_second_backup_of_the_same_database_says_that_it_is_busy(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start(*CALL) as first:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        second = pgkeeper(*CALL, seconds=20).exits(BUSY)
        assert str(first.pid) in second.error
        release()
        first.result().exits(DONE)
    assert len(pgkeeper.published()) == 1


def test_a_scheduled_backup_waits_for_its_turn(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start(*CALL) as first:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        with pgkeeper.start(*CALL, "--wait", "2m") as second:
            wait_until(lambda: waits_for_file_lock(second.pid), "the second run waiting for the first")
            assert second.process.poll() is None
            release()
            first.result().exits(DONE)
            second.result().exits(DONE)
    assert len(pgkeeper.published()) == 2


def test_a_backup_that_was_waited_for_is_not_made_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start(*CALL) as first:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        with pgkeeper.start(*CALL, "--if-older-than", "26h", "--wait", "2m", "--json") as second:
            wait_until(lambda: waits_for_file_lock(second.pid), "the second run waiting for the first")
            release()
            first.result().exits(DONE)
            assert second.result().exits(DONE).outcome("stalling")["status"] == "skipped"
    assert len(pgkeeper.published()) == 1


def test_other_databases_are_not_kept_waiting(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    pgkeeper.create_database("free")
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start(*CALL) as first:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        pgkeeper("backup", "--database", "free", seconds=20).exits(DONE)
        release()
        first.result().exits(DONE)


def test_verify_and_list_do_not_wait_for_a_backup(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    backup_id = pgkeeper.backup("stalling")
    with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start(*CALL) as first:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        listed = pgkeeper("list", "--json", seconds=20).exits(DONE)
        assert backup_id in listed.stdout
        assert listed.stdout.count('"backup_id"') == 1
        pgkeeper("verify", backup_id, seconds=20).exits(DONE)
        release()
        first.result().exits(DONE)


def test_two_backups_within_a_second_have_two_names(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("quick")
    pgkeeper.create_database("slow", STALLED_SCRIPT)
    identifiers = {pgkeeper.backup("quick") for _ in range(3)}
    assert len(identifiers) == 3
    assert len(pgkeeper.published()) == 3


def test_a_dump_gives_way_when_a_lock_is_held_for_long_and_names_the_holder(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_LOCK_TIMEOUT_SECONDS="1")
    pgkeeper.create_database("blocked", "create table held (n int); create table free (n int);")
    before = time.monotonic()
    with locked(pgkeeper.cluster, "blocked", "lock table held in access exclusive mode", "zoo-blocker"):
        run = pgkeeper("backup", "--database", "blocked", seconds=60)
        # Nobody who came after the dump may still be kept waiting by it.
        assert not pgkeeper.cluster.query(
            "select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = %s)",
            "blocked",
        )
    assert run.exit_status != DONE
    assert time.monotonic() - before > 1
    for word in ("blocked", "held", "zoo-blocker"):
        assert word in run.error
    assert not pgkeeper.published()
    pgkeeper("backup", "--database", "blocked").exits(DONE)


def test_a_lock_that_is_released_in_time_costs_nothing_but_time(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_LOCK_TIMEOUT_SECONDS="1")
    pgkeeper.create_database("blocked", "create table held (n int);")
    lock = "lock table held in access exclusive mode"
    with locked(pgkeeper.cluster, "blocked", lock) as release, pgkeeper.start("backup", "--json") as running:
        wait_for_stalled_session(pgkeeper.cluster, "blocked")
        release()
        running.result().exits(DONE)


def waits_for_file_lock(pid: int) -> bool:
    """Whether a process has the lock file of another one open."""
    from pathlib import Path

    try:
        links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(link.endswith(".lock") for link in links)
