"""A secret is never said, never logged, never in anybody's process list."""

from __future__ import annotations

import os
import threading

from .support.hindrance import STALLED_SCRIPT, stalled, wait_for_stalled_session
from .support.processes import all_command_lines
from .support.product import DONE, Pgkeeper

SECRET = "planted-Everywhere-Secret-7"


def test_no_secret_is_said_logged_or_seen(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    pgkeeper.cluster.execute(f"alter role postgres password '{SECRET}'")
    password_file = pgkeeper.home / "pgpass"
    password_file.write_text(f"*:*:*:*:{SECRET}\n")
    password_file.chmod(0o600)
    os.chown(password_file, *pgkeeper.owner)
    pgkeeper.configure(
        PGHOST="127.0.0.1",
        PGUSER="postgres",
        PGPASSFILE=str(password_file),
        BACKUP_NOTIFY_URLS=f"mailto://keeper:{SECRET}@127.0.0.1:9/?from=a@example.org&to=b@example.org",
    )
    ended = threading.Event()
    seen: list[str] = []

    def watch() -> None:
        while not ended.is_set():
            seen.extend(line for line in all_command_lines() if SECRET in line)
            ended.wait(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    runs = []
    try:
        with stalled(pgkeeper.cluster, "stalling") as release, pgkeeper.start("backup", "--database", "stalling") as running:
            wait_for_stalled_session(pgkeeper.cluster, "stalling")
            release()
            runs.append(running.result().exits(DONE))
        runs += [
            pgkeeper("backup", "--database", "missing"),
            pgkeeper("list"),
            pgkeeper("show", pgkeeper.published()[-1].name),
            pgkeeper("show", pgkeeper.published()[-1].name, "--json"),
            pgkeeper("doctor"),
            pgkeeper("doctor", "--json"),
            pgkeeper("restore", "latest", "--database", "stalling", "--to", "stalling_again"),
            pgkeeper("backup", env={"BACKUP_LOCAL_RETENTION_DAYS": SECRET}),
            pgkeeper("backup", env={"PGPASSWORD": f"wrong {SECRET}"}),
        ]
    finally:
        ended.set()
        watcher.join()
        pgkeeper.cluster.execute("alter role postgres password null")
        pgkeeper.databases.add("stalling_again")
    assert not seen
    said = "".join(run.stdout + run.stderr for run in runs)
    said += "".join(path.read_text() for path in pgkeeper.logs.rglob("*") if path.is_file())
    said += "".join(path.read_text(errors="replace") for path in pgkeeper.state.rglob("*") if path.is_file())
    assert SECRET not in said


def test_stored_password_hashes_are_in_the_backup_and_never_shown(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("small")
    pgkeeper.cluster.execute("create role hashed login password 'whatever'")
    verifier = str(pgkeeper.cluster.query("select rolpassword from pg_authid where rolname = 'hashed'")[0][0])
    try:
        backup_id = pgkeeper.backup("small")
        runs = [pgkeeper("show", backup_id), pgkeeper("show", backup_id, "--json"), pgkeeper("list", "--json")]
    finally:
        pgkeeper.cluster.execute("drop role hashed")
    assert not any(verifier in run.output for run in runs)
    assert verifier in (pgkeeper.published()[0] / "manifest.json").read_text()


def test_backups_are_for_postgres_alone(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("small")
    pgkeeper("backup", "--database", "small").exits(DONE)
    pgkeeper("verify").exits(DONE)
    places = [pgkeeper.backups, pgkeeper.state, pgkeeper.logs]
    open_to_others = [path for place in places for path in place.rglob("*") if path.stat().st_mode & 0o077]
    assert not open_to_others
