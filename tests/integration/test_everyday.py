"""What an owner does with backups from day to day: trying, listing, expiring, deleting."""

from __future__ import annotations

from datetime import timedelta

from .support.history import aged, newest, settled
from .support.product import DONE, INTEGRITY, REFUSED, USAGE, Pgkeeper, fingerprint


def test_a_trial_does_everything_and_keeps_nothing(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    run = pgkeeper("backup", "--database", "app", "--test", "--json").exits(DONE)
    assert run.outcome("app")["status"] == "done"
    assert run.outcome("app")["rows"] == 100
    assert not pgkeeper.published()
    assert not list(pgkeeper.backups.rglob("*.gz"))


def test_a_recent_backup_is_not_made_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    call = ("backup", "--database", "app", "--if-older-than", "24h", "--json")
    assert pgkeeper(*call).exits(DONE).outcome("app")["status"] == "done"
    second = pgkeeper(*call).exits(DONE).outcome("app")
    assert second["status"] == "skipped"
    assert second["backup_id"] == pgkeeper.published()[0].name
    aged(pgkeeper.published()[0], timedelta(hours=25))
    assert pgkeeper(*call).exits(DONE).outcome("app")["status"] == "done"
    assert len(pgkeeper.published()) == 2


def test_a_recent_verification_is_not_made_again(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    call = ("verify", "--if-older-than", "7d", "--json")
    assert pgkeeper(*call, "--level", "checksum").exits(DONE).outcome("app")["status"] == "done"
    assert pgkeeper(*call).exits(DONE).outcome("app")["status"] == "done", "a shallow check does not count for a deeper one"
    assert pgkeeper(*call).exits(DONE).outcome("app")["status"] == "skipped"
    assert pgkeeper(*call, "--level", "checksum").exits(DONE).outcome("app")["status"] == "skipped", "a deeper one counts for it"
    second = pgkeeper.backup("app")
    assert second != backup_id
    assert pgkeeper(*call).exits(DONE).outcome("app")["status"] == "skipped", "the timetable checks a database once a week"
    assert pgkeeper("verify", second, *call[1:]).exits(DONE).outcome("app")["status"] == "done", "an id asks for that very backup"


def test_what_is_there_is_listed_newest_first(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("a b")
    expected = [pgkeeper.backup("app"), pgkeeper.backup("a b"), pgkeeper.backup("app")]
    listed = pgkeeper("list", "--json").exits(DONE).json["backups"]
    assert {backup["backup_id"] for backup in listed} == set(expected)
    times = [backup["created_at"] for backup in listed]
    assert times == sorted(times, reverse=True)
    assert {backup["database"] for backup in listed} == {"app", "a b"}
    text = pgkeeper("list").exits(DONE).stdout
    places = [text.index(expected[number]) for number in (2, 0, 1)]
    assert places == sorted(places), "those of one database stand together"


def test_damage_names_the_backup_and_the_good_one_before_it(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    older, newer = pgkeeper.backup("app"), pgkeeper.backup("app")
    (place,) = (path for path in pgkeeper.published() if path.name == newer)
    with (place / "database.sql.gz").open("r+b") as file:
        file.write(b"damage")
    error = pgkeeper("verify", newer).exits(INTEGRITY).error
    assert newer in error
    assert f"`pgkeeper restore {older}`" in error
    pgkeeper("delete", older, "--confirm", "DELETE").exits(DONE)
    assert "`pgkeeper backup --database app`" in pgkeeper("verify", newer).exits(INTEGRITY).error


def test_nothing_to_list_is_no_error(pgkeeper: Pgkeeper) -> None:
    assert pgkeeper("list", "--json").exits(DONE).json["backups"] == []
    pgkeeper("list").exits(DONE)
    pgkeeper("stats").exits(DONE)
    assert pgkeeper("verify").exit_status == USAGE, "nothing was verified, and that is no success"


def test_listing_needs_no_server(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    nowhere = {"PGHOST": "/nonexistent", "PGPORT": "1"}
    assert backup_id in pgkeeper("list", env=nowhere).exits(DONE).stdout
    pgkeeper("verify", backup_id, env=nowhere).exits(DONE)
    pgkeeper("show", backup_id, env=nowhere).exits(DONE)


def test_expiry_takes_the_old_and_never_the_newest(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("idle")
    pgkeeper.configure(BACKUP_LOCAL_RETENTION_DAYS="7")
    directories = []
    for age in (40, 20, 9, 8, 6, 3):
        pgkeeper.backup("app")
        directories.append(aged(newest(pgkeeper, "app"), timedelta(days=age)))
    pgkeeper.backup("idle")
    idle = aged(newest(pgkeeper, "idle"), timedelta(days=400))
    current = pgkeeper.backup("app")
    settled(pgkeeper)
    dry = pgkeeper("expire", "--dry-run").exits(DONE)
    assert directories[0].name in dry.stdout
    assert all(directory.exists() for directory in directories), "a dry run removes nothing"
    before = {path.name: fingerprint(path) for path in directories[4:]}
    pgkeeper("expire").exits(DONE)
    left = {path.name for path in pgkeeper.published()}
    assert not left & {path.name for path in directories[:4]}
    assert {*(path.name for path in directories[4:]), current, idle.name} <= left
    assert {path.name: fingerprint(path) for path in directories[4:]} == before


def test_expiry_without_a_fresh_success_removes_nothing(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    for age in (40, 30, 20, 15):
        pgkeeper.backup("app")
        aged(newest(pgkeeper, "app"), timedelta(days=age))
    before = {path.name for path in pgkeeper.published()}
    settled(pgkeeper)
    run = pgkeeper("expire")
    assert run.exit_status in (DONE, REFUSED), run.output
    assert {path.name for path in pgkeeper.published()} == before


def test_expiry_does_not_count_on_a_damaged_newest(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    for age in (20, 15):
        pgkeeper.backup("app")
        aged(newest(pgkeeper, "app"), timedelta(days=age))
    before = {path.name for path in pgkeeper.published()}
    pgkeeper.backup("app")
    (newest(pgkeeper, "app") / "manifest.json").write_bytes(b"{}")
    settled(pgkeeper)
    pgkeeper("expire")
    assert before <= {path.name for path in pgkeeper.published()}


def test_deleting_wants_the_word_for_it(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    first, second = pgkeeper.backup("app"), pgkeeper.backup("app")
    assert pgkeeper("delete", first).exit_status in (USAGE, REFUSED)
    assert pgkeeper("delete", first, "--confirm", "delete").exit_status in (USAGE, REFUSED)
    assert len(pgkeeper.published()) == 2
    pgkeeper("delete", first, "--confirm", "DELETE").exits(DONE)
    assert [path.name for path in pgkeeper.published()] == [second]


def test_doctor_is_content_with_a_healthy_host(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.configure(BACKUP_DATABASES="app")
    pgkeeper.backup("app")
    run = pgkeeper("doctor")
    assert run.exit_status == DONE, run.output
    assert pgkeeper("doctor", env={"PGPORT": "1"}).exit_status != DONE


def test_another_clusters_place_is_not_written_to_before_it_is_adopted(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    (owner,) = list(pgkeeper.backups.rglob("owner.json"))
    identifier = str(pgkeeper.cluster.query("select system_identifier from pg_control_system()")[0][0])
    owner.write_text(owner.read_text().replace(identifier, "7000000000000000001"))
    run = pgkeeper("backup", "--database", "app").exits(REFUSED)
    assert "--adopt" in run.error
    assert len(pgkeeper.published()) == 1
    pgkeeper("backup", "--database", "app", "--adopt").exits(DONE)
    pgkeeper("backup", "--database", "app").exits(DONE)


def test_a_pipe_that_closes_early_is_no_traceback(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    with pgkeeper.start("show", backup_id, "--json") as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        _, stderr = running.process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert "Exception" not in stderr


def test_version_is_told_at_once(pgkeeper: Pgkeeper) -> None:
    assert pgkeeper("--version", user="nobody").exits(DONE).stdout.startswith("pgkeeper ")


def test_errors_are_json_too_when_asked_for(pgkeeper: Pgkeeper) -> None:
    pgkeeper.configure(BACKUP_DIR="relative")
    document = pgkeeper("list", "--json").json
    assert document["schema"] == "pgkeeper.error/1"
    assert document["error"]["exit_status"] == 3
    pgkeeper.configure(BACKUP_DIR=str(pgkeeper.backups))
    document = pgkeeper("show", "no-such-backup", "--json").json
    assert document["schema"] == "pgkeeper.error/1"


def test_the_shell_completes_ids_and_databases_without_asking_anybody(pgkeeper: Pgkeeper) -> None:
    def offered(line: str) -> list[str]:
        words = {"_PGKEEPER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        run = pgkeeper(env={**words, "PGHOST": "/nowhere"}).exits(DONE)
        assert not run.stderr
        return [name for name in run.stdout.split("\n") if name]

    before = fingerprint(pgkeeper.backups)
    assert offered("pgkeeper show ") == ["latest"]
    assert fingerprint(pgkeeper.backups) == before
    for name in ("app", "two words"):
        pgkeeper.create_database(name)
    older, spaced, newer = pgkeeper.backup("app"), pgkeeper.backup("two words"), pgkeeper.backup("app")
    assert offered("pgkeeper show ") == ["latest", newer, spaced, older]
    assert offered("pgkeeper delete app") == offered("pgkeeper sync app") == [newer, older]
    assert offered("pgkeeper backup --database ") == ["app", "'two words'"]
    assert offered("pgkeeper restore latest -d a") == ["app"]
    (pgkeeper.backups).chmod(0o000)
    try:
        assert offered("pgkeeper delete app") == []
    finally:
        (pgkeeper.backups).chmod(0o700)
