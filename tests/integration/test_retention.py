"""Retention never eats the last good one: not with a wrong clock, not without its memory, not while somebody reads or pins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from .support.history import clock_ahead, history, newest, proven, settled
from .support.product import BUSY, CONFIGURATION, DONE, FAILED, REFUSED, SOURCE, USAGE, Pgkeeper, fingerprint
from .support.waiting import wait_until

YEARS = timedelta(days=3652)


def names(pgkeeper: Pgkeeper) -> set[str]:
    return {path.name for path in pgkeeper.published()}


def test_each_decision_is_explained_and_nothing_else_happens(pgkeeper: Pgkeeper) -> None:
    old, broken, pinned, proof, *rest = history(pgkeeper, 300, 299, 298, 297, 20, 3, 2)
    (broken / "schema.dump").unlink()
    pgkeeper("pin", pinned.name, "--reason", "before the migration").exits(DONE)
    proven(pgkeeper, proof)
    pgkeeper.configure(BACKUP_KEEP_MONTHLY="1")
    settled(pgkeeper)
    before = {path.name: fingerprint(path) for path in pgkeeper.published()}
    state = (pgkeeper.state / "expiry.json").read_bytes()
    document = pgkeeper("expire", "--dry-run", "--json").exits(DONE).json
    reasons = {decision["backup_id"]: decision["reason"] for decision in document["databases"][0]["decisions"]}
    assert set(reasons) == names(pgkeeper)
    assert document["removed"] == [old.name, rest[0].name]
    assert "damaged" in reasons[broken.name]
    assert "pinned" in reasons[pinned.name]
    assert "proven" in reasons[proof.name]
    assert "older than 7 days, and not one of the 1 monthly" in reasons[old.name]
    text = pgkeeper("expire", "--dry-run").exits(DONE).stdout
    assert all(reason in text for reason in reasons.values())
    assert {path.name: fingerprint(path) for path in pgkeeper.published()} == before
    assert (pgkeeper.state / "expiry.json").read_bytes() == state
    pgkeeper("expire").exits(DONE)
    assert names(pgkeeper) == set(reasons) - {old.name, rest[0].name}


def test_a_fresh_installation_is_told_that_it_settles_and_loses_nothing_by_it(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper, 40, 39, 38)
    before = names(pgkeeper)
    dry = pgkeeper("expire", "--dry-run").exits(DONE).stdout
    assert "first time" in dry
    assert not (pgkeeper.state / "expiry.json").exists(), "a dry run remembers nothing"
    document = pgkeeper("expire", "--json").exits(DONE).json
    assert "nothing is removed before" in document["held_back"]
    assert names(pgkeeper) == before
    pgkeeper("expire", env=clock_ahead(timedelta(hours=25))).exits(DONE)
    # The newest is fresh still, so what is old may go now; the newest three stay.
    assert len(names(pgkeeper)) == 3


def test_a_memory_that_cannot_be_read_costs_nothing(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper, 40, 39, 38)
    before = names(pgkeeper)
    for content in ("", "{", '{"seen_at": "2026-01-01T00:00:00Z"}'):
        (pgkeeper.state / "expiry.json").write_text(content)
        os.chown(pgkeeper.state / "expiry.json", *pgkeeper.owner)
        assert "cannot be read" in pgkeeper("expire").exits(DONE).stdout
        assert names(pgkeeper) == before


def test_a_backup_made_ten_years_ahead_costs_no_other_one(pgkeeper: Pgkeeper) -> None:
    *_, current = history(pgkeeper, 3, 2, 1)
    pgkeeper("backup", "--database", "app", env=clock_ahead(YEARS)).exits(DONE)
    before = names(pgkeeper)
    assert len(before) == 5
    settled(pgkeeper)
    document = pgkeeper("expire", "--json").exits(DONE).json
    assert names(pgkeeper) == before
    decisions = {decision["backup_id"]: decision["reason"] for decision in document["databases"][0]["decisions"]}
    (ahead,) = before - {path.name for path in pgkeeper.published() if path.name <= current.name}
    assert "future" in decisions[ahead]
    assert any("future" in finding["text"] for finding in pgkeeper("status", "--json").exits(FAILED).json["findings"])


def test_an_expiry_ten_years_ahead_costs_nothing(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper, 20, 3, 2, 1)
    settled(pgkeeper)
    before = names(pgkeeper)
    ahead = clock_ahead(YEARS)
    pgkeeper("expire", env=ahead).exits(DONE)
    assert names(pgkeeper) == before
    pgkeeper("backup", "--database", "app", env=ahead).exits(DONE)
    run = pgkeeper("expire", env=ahead).exits(DONE)
    assert "set forward" in run.stdout
    assert before <= names(pgkeeper)
    run = pgkeeper("expire").exits(DONE)
    assert "set back" in run.stdout
    assert before <= names(pgkeeper)


def test_what_a_rebuild_calls_holds_expiry_back(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper, 40, 39, 38)
    settled(pgkeeper)
    script = (
        "from pgkeeper.settings import load_settings; from pgkeeper.operations.settling import begin_settling;"
        " begin_settling(load_settings(), 'the catalog was rebuilt')"
    )
    subprocess.run([sys.executable, "-c", script], check=True, user="postgres", cwd="/", env=pgkeeper.environment())
    before = names(pgkeeper)
    assert "the catalog was rebuilt" in pgkeeper("expire").exits(DONE).stdout
    assert names(pgkeeper) == before


def test_a_pinned_backup_outlives_expiry_and_deletion_until_it_is_unpinned(pgkeeper: Pgkeeper) -> None:
    old, *_ = history(pgkeeper, 40, 3, 2, 1)
    report = pgkeeper("pin", old.name, "--reason", "before the migration", "--json").exits(DONE).json
    assert (report["pinned"], report["changed"]) == (True, True)
    again = pgkeeper("pin", old.name, "--reason", "before the migration", "--json").exits(DONE).json
    assert (again["changed"], again["pinned_at"]) == (False, report["pinned_at"])
    settled(pgkeeper)
    pgkeeper("expire").exits(DONE)
    refusal = pgkeeper("delete", old.name, "--confirm", "DELETE").exits(REFUSED)
    assert f"pgkeeper unpin {old.name}" in refusal.error
    assert old.exists()
    assert "pinned" in pgkeeper("list").exits(DONE).stdout
    assert "before the migration" in pgkeeper("show", old.name).exits(DONE).stdout
    pgkeeper("unpin", old.name).exits(DONE)
    assert pgkeeper("unpin", old.name, "--json").exits(DONE).json["changed"] is False
    pgkeeper("expire").exits(DONE)
    assert not old.exists()
    pgkeeper("pin", old.name).exits(USAGE)


def test_a_damaged_pin_keeps_its_backup_and_is_reported(pgkeeper: Pgkeeper) -> None:
    old, *_ = history(pgkeeper, 40, 3, 2, 1)
    pgkeeper("pin", old.name).exits(DONE)
    (old / "pin.json").write_text("{}")
    settled(pgkeeper)
    pgkeeper("expire").exits(DONE)
    pgkeeper("delete", old.name, "--confirm", "DELETE").exits(REFUSED)
    assert old.exists()
    assert "not genuine" in pgkeeper("list").exits(DONE).warnings
    assert "not genuine" in pgkeeper("show", old.name).exits(DONE).stdout
    assert any("not genuine" in finding["text"] for finding in pgkeeper("status", "--json").exits(FAILED).json["findings"])
    pgkeeper("pin", old.name).exits(DONE)
    assert "not genuine" not in pgkeeper("list").exits(DONE).warnings


def test_a_backup_that_is_being_read_waits_for_the_next_expiry(pgkeeper: Pgkeeper) -> None:
    old, older, *_ = history(pgkeeper, 40, 41, 3, 2, 1)
    settled(pgkeeper)
    with held(pgkeeper, f"lease = os.open({str(old / 'manifest.json')!r}, os.O_RDONLY); fcntl.flock(lease, fcntl.LOCK_SH)") as reader:
        document = pgkeeper("expire", "--json").exits(DONE).json
        reasons = {decision["backup_id"]: decision["reason"] for decision in document["databases"][0]["decisions"]}
        assert reasons[old.name] == "it is being read"
        assert document["removed"] == [older.name]
        pgkeeper("delete", old.name, "--confirm", "DELETE").exits(BUSY)
        assert old.exists()
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        pgkeeper("expire").exits(DONE)
    assert not old.exists()


def test_one_that_cannot_be_removed_costs_nothing_else(pgkeeper: Pgkeeper) -> None:
    stuck, old, *_ = history(pgkeeper, 41, 40, 3, 2, 1)
    # What lies in a directory of somebody else's can't be removed.
    (stuck / "mine").mkdir()
    (stuck / "mine" / "file").write_text("")
    settled(pgkeeper)
    run = pgkeeper("expire").exits(FAILED)
    assert stuck.name in run.error
    assert not old.exists()
    assert len(names(pgkeeper)) == 4
    (left,) = stuck.parent.glob(f".deleting-{stuck.name}")
    os.chown(left / "mine", *pgkeeper.owner)
    pgkeeper("expire").exits(DONE)
    assert not left.exists()


def test_work_on_the_store_waits_for_its_turn_and_names_who_has_it(pgkeeper: Pgkeeper) -> None:
    old, *_ = history(pgkeeper, 40, 3, 2, 1)
    settled(pgkeeper)
    host = (pgkeeper.state / "host-identity").read_text().strip()
    script = f"lock = exclusive(Path({str(pgkeeper.state)!r}), 'store {host}', 'a test'); lock.__enter__()"
    with held(pgkeeper, script) as holder:
        assert str(holder.pid) in pgkeeper("expire", "--wait", "0s").exits(BUSY).error
        assert old.exists()
        pgkeeper("expire", "--dry-run", seconds=20).exits(DONE)
        pgkeeper("list", seconds=20).exits(DONE)
        pgkeeper("backup", "--database", "app", seconds=20).exits(DONE)
        with pgkeeper.start("expire", "--wait", "2m") as scheduled, pgkeeper.start("pin", old.name) as pinning:
            for waiting in (scheduled, pinning):
                wait_until(lambda pid=waiting.pid: has_open(pid, "store"), "a call waiting for the store lock")  # type: ignore[misc]
                assert waiting.process.poll() is None
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            scheduled.result().exits(DONE)
            assert pinning.result().exit_status in (DONE, USAGE), "whoever came first"


def test_contradictory_settings_are_an_error(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_RETENTION_PRESET="14+60", BACKUP_LOCAL_RETENTION_DAYS="7")
    assert "BACKUP_RETENTION_PRESET" in pgkeeper("expire").exits(CONFIGURATION).error
    pgkeeper.configure(BACKUP_LOCAL_RETENTION_DAYS=None)
    old, kept, *_ = history(pgkeeper, 15, 13, 3, 2, 1)
    settled(pgkeeper)
    pgkeeper("expire").exits(DONE)
    assert (old.exists(), kept.exists()) == (False, True)


def test_status_answers_first_and_needs_nobody_on_a_healthy_host(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_DATABASES="app", BACKUP_NOTIFY_URLS="mailto://u:p@localhost")
    document = pgkeeper("status", "--json").exits(FAILED).json
    assert any("no good backup" in finding["text"] for finding in document["findings"])
    yesterday, _ = history(pgkeeper, 1)
    assert any("ever proven" in finding["text"] for finding in pgkeeper("status", "--json").exits(FAILED).json["findings"])
    proven(pgkeeper, yesterday, timedelta(hours=5), seconds=12.5)
    document = pgkeeper("status", "--json")
    disk_is_full = document.json["disk_used_percent"] > 85
    assert document.exit_status == (FAILED if disk_is_full else DONE), document.output
    (database,) = document.json["databases"]
    assert database["recovery_seconds"] == 12.5
    assert database["age_seconds"] < 600
    text = pgkeeper("status").stdout
    assert text.startswith("1 thing needs you." if disk_is_full else "All is well")
    assert "\x1b" not in text
    assert "proven" in pgkeeper("list").exits(DONE).stdout


def test_status_answers_while_the_server_is_down(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper, 1)
    run = pgkeeper("status", "--json", env={"PGHOST": "/nonexistent", "PGPORT": "1"}).exits(FAILED)
    assert [database["database"] for database in run.json["databases"]] == ["app"]
    assert any("PostgreSQL cannot be asked" in finding["text"] for finding in run.json["findings"])


def test_status_remarks_on_a_database_that_is_gone_and_complains_of_damage(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_DATABASES="app")
    history(pgkeeper, 100, database="gone")
    history(pgkeeper, 1)
    findings = pgkeeper("status", "--json").exits(FAILED).json["findings"]
    assert [finding["level"] for finding in findings if finding["database"] == "gone"] == ["remark"]
    (newest(pgkeeper, "app") / "manifest.json").write_bytes(b"{}")
    findings = pgkeeper("status", "--json").exits(FAILED).json["findings"]
    assert any(finding["database"] == "app" and "damaged" in finding["text"] for finding in findings), findings


@contextmanager
def held(pgkeeper: Pgkeeper, statement: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that runs a statement, and then waits."""
    script = "import fcntl, os, sys\nfrom pathlib import Path\nfrom pgkeeper.host.locks import exclusive\n"
    script += f"{statement}\n"
    script += "print('held', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user="postgres",
        cwd="/",
        env={"PYTHONPATH": str(SOURCE), "PYTHONPYCACHEPREFIX": str(pgkeeper.compiled)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def has_open(pid: int, word: str) -> bool:
    """Whether a process has a lock file open whose name holds a word."""
    try:
        links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(link.endswith(".lock") and word in link for link in links)


def test_expiry_remembers_nothing_but_what_it_says(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper)
    pgkeeper("expire").exits(DONE)
    assert set(json.loads((pgkeeper.state / "expiry.json").read_text())) == {"seen_at", "trusted_since", "reason"}
