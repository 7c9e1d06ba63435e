"""Which moments can be brought back, as a real archive says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from .support.archive import Archive, archived
from .support.mail import mail_server
from .support.product import CONFIGURATION, DONE, FAILED, INTEGRITY, REFUSED, USAGE
from .support.waiting import wait_until
from .support.workspace import Workspace

ADDRESSES = "from=pgkeeper@example.org&to=owner@example.org"


@pytest.fixture(scope="module")
def archive(workspace: Workspace) -> Iterator[Archive]:
    """A cluster with one physical backup."""
    made = archived(workspace, "window")
    made.cluster.execute("create table t (at timestamptz)")
    made.pgkeeper("pitr", "backup", "--quiet").exits(DONE)
    yield made
    made.end()


def moment(text: str) -> datetime:
    """Return a time of a document."""
    return datetime.fromisoformat(text)


def test_the_window_ends_with_the_last_archived_commit(archive: Archive) -> None:
    at = archive.commit()
    archive.switch()
    archive.commit()
    report = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json
    (local,) = report["repositories"]
    (span,) = local["spans"]
    (backup,) = local["backups"]
    assert span["backups"] == [backup["label"]]
    assert timedelta() <= moment(span["begins_at"]) - moment(backup["stopped_at"]) <= timedelta(seconds=1)
    assert timedelta() <= moment(span["ends_at"]) - at < timedelta(seconds=1), "the one that is archived, and not the one that is not"
    assert span["open"]
    assert local["gaps"] == []
    assert local["size_bytes"] > backup["repository_bytes"] > 0
    assert report["archiving"]["works"] is True
    assert report["archiving"]["data_checksums"] is False


def test_status_says_what_the_last_check_saw(archive: Archive) -> None:
    archive.commit()
    archive.pgkeeper("pitr", "check").exits(DONE)
    (local,) = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"]
    (known,) = archive.pgkeeper("status", "--json").json["windows"]
    assert (known["repository"], known["begins_at"], known["ends_at"]) == (
        "local",
        *(local["spans"][-1][end] for end in ("begins_at", "ends_at")),
    )
    begins_at, ends_at = (f"{moment(known[end]):%Y-%m-%d %H:%M:%S} UTC" for end in ("begins_at", "ends_at"))
    assert f"Any second from {begins_at} to {ends_at} can be brought back (local), as of " in archive.pgkeeper("status").stdout


def test_log_without_commits_does_not_move_the_end(archive: Archive) -> None:
    archive.commit()
    archive.switch()
    before = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]["spans"][-1]
    for _ in range(3):
        archive.cluster.query("select pg_create_restore_point('quiet')")
        archive.switch()
    after = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]["spans"][-1]
    assert (after["ends_at"], after["end_lsn"]) == (before["ends_at"], before["end_lsn"])


def test_a_prepared_transaction_counts_when_it_is_committed(archive: Archive) -> None:
    with archive.cluster.connect() as session:
        session.execute("begin")
        session.execute("insert into t values (clock_timestamp())")
        session.execute("prepare transaction 'two'")
        ((prepared_at,),) = session.execute("select clock_timestamp()").fetchall()
        session.execute("commit prepared 'two'")
    archive.switch()
    span = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]["spans"][-1]
    assert isinstance(prepared_at, datetime)
    assert moment(span["ends_at"]) > prepared_at


def test_what_was_learnt_of_a_segment_is_not_fetched_again(archive: Archive) -> None:
    archive.commit()
    archive.switch()
    archive.pgkeeper("pitr", "window").exits(DONE)
    known = archive.pgkeeper.state / "pitr" / "segments.json"
    before = known.stat()
    archive.pgkeeper("pitr", "window").exits(DONE)
    assert known.stat().st_mtime_ns == before.st_mtime_ns
    known.write_text("nonsense")
    archive.pgkeeper("pitr", "window").exits(DONE)
    assert known.read_text().startswith("{")


def test_the_window_is_shown_while_production_is_down(archive: Archive) -> None:
    archive.cluster.stop()
    try:
        run = archive.pgkeeper("pitr", "window", "--json").exits(DONE)
    finally:
        archive.cluster.start()
    assert run.json["archiving"]["lag_segments"] is None
    assert run.json["archiving"]["error"] is not None
    assert run.json["repositories"][0]["spans"]


def test_a_foreign_archive_command_is_named(archive: Archive) -> None:
    archive.cluster.execute("alter system set archive_command = '/bin/true'")
    try:
        archive.cluster.query("select pg_reload_conf()")
        wait_until(lambda: archive.cluster.query("show archive_command") == [("/bin/true",)], "the other command", 10)
        run = archive.pgkeeper("pitr", "window", "--json").exits(DONE)
        assert run.json["archiving"]["works"] is False
        assert run.json["archiving"]["problem"] == "archive_command is not pgkeeper's: /bin/true"
        status = archive.pgkeeper("status", "--json").json
        assert any("archive_command is not pgkeeper's" in finding["text"] for finding in status["findings"])
        doctor = archive.pgkeeper("doctor", "--json").json
        assert any("archive_command is not pgkeeper's" in finding["text"] for finding in doctor["findings"])
        check = archive.pgkeeper("pitr", "check", "--timeout", "5s", "--json").exits(FAILED)
        assert check.json["problems"][0] == "archive_command is not pgkeeper's: /bin/true"
    finally:
        archive.cluster.execute("alter system reset archive_command")
        archive.cluster.query("select pg_reload_conf()")
    wait_until(lambda: archive.cluster.query("show archive_command") != [("/bin/true",)], "our command", 10)
    # What the other command threw away is a gap now.
    archive.pgkeeper("pitr", "backup", "--kind", "full", "--quiet").exits(DONE)
    archive.pgkeeper("pitr", "check").exits(INTEGRITY)


def test_a_mark_is_recorded_and_shown_and_archived(archive: Archive) -> None:
    made = archive.pgkeeper("pitr", "mark", "before import", "--json").exits(DONE).json
    assert made["mark"]["name"] == "before import"
    assert made["mark"]["timeline"] == 1
    assert datetime.now(UTC) - moment(made["mark"]["at"]) < timedelta(minutes=1)
    shown = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["marks"]
    assert made["mark"] in shown
    reached = "select last_archived_wal >= %s from pg_stat_archiver"
    wait_until(lambda: archive.cluster.query(reached, made["segment"]) == [(True,)], "the mark in the archive", 60)
    again = archive.pgkeeper("pitr", "mark", "before import").exits(REFUSED)
    assert "there is a mark before import already" in again.error


@pytest.mark.parametrize("name", ["", " ", "n" * 64, "é" * 32, "a\nb"])
def test_a_name_that_postgresql_would_not_keep_is_refused(archive: Archive, name: str) -> None:
    before = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["marks"]
    archive.pgkeeper("pitr", "mark", name).exits(USAGE)
    assert archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["marks"] == before


def test_a_check_ends_a_segment_and_finds_it_archived(archive: Archive) -> None:
    at = archive.commit()
    report = archive.pgkeeper("pitr", "check", "--json").exits(DONE).json
    (local,) = report["repositories"]
    assert local["archived"]
    assert report["problems"] == []
    span = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]["spans"][-1]
    assert moment(span["ends_at"]) >= at


def test_a_missing_segment_is_named_until_a_backup_lies_behind_it(archive: Archive) -> None:
    before = archive.commit()
    archive.switch()
    archive.commit()
    lost = archive.switch()
    archive.commit()
    archive.switch()
    for file in archive.repository.rglob(f"{lost}-*"):
        file.unlink()
    local = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]
    gap = local["gaps"][-1]
    assert (gap["first_segment"], gap["last_segment"], gap["segments"], gap["before"]) == (lost, lost, 1, None)
    assert timedelta() <= moment(gap["after"]) - before < timedelta(seconds=1)
    assert not local["spans"][-1]["open"]
    with mail_server() as mailbox:
        archive.pgkeeper.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?{ADDRESSES}")
        try:
            check = archive.pgkeeper("pitr", "check", "--json").exits(INTEGRITY)
            assert any(lost in problem for problem in check.json["problems"])
            archive.pgkeeper("pitr", "check").exits(INTEGRITY)
        finally:
            archive.pgkeeper.configure(BACKUP_NOTIFY_URLS=None)
    assert len(mailbox.messages) == 1, "told once, not every hour"
    assert "Point-in-Time Recovery Alert" in mailbox.subject()
    assert lost in mailbox.body()

    archive.pgkeeper("pitr", "backup", "--kind", "full", "--quiet").exits(DONE)
    local = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]
    assert local["gaps"][-1]["before"] == local["spans"][-1]["begins_at"]
    assert local["spans"][-1]["open"]
    check = archive.pgkeeper("pitr", "check", "--json").exits(DONE)
    assert any(lost in warning for warning in check.json["warnings"]), "it was told of, and a backup lies behind it"


def test_an_import_with_wal_level_minimal_ends_the_window_until_the_next_backup(archive: Archive) -> None:
    lowered = {"wal_level": "minimal", "archive_mode": "off", "max_wal_senders": "0"}
    before = archive.commit()
    for name, value in lowered.items():
        archive.cluster.execute(f"alter system set {name} = '{value}'")
    archive.cluster.stop()
    archive.cluster.start()
    archive.cluster.execute("create table imported as select n from generate_series(1, 100) n")
    for name in lowered:
        archive.cluster.execute(f"alter system reset {name}")
    archive.cluster.stop()
    archive.cluster.start()
    archive.commit()
    archive.switch()

    local = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]
    (barrier,) = local["barriers"]
    assert (barrier["after"], barrier["before"]) == (local["spans"][-1]["ends_at"], None)
    assert timedelta() <= moment(local["spans"][-1]["ends_at"]) - before < timedelta(seconds=1)
    assert not local["spans"][-1]["open"]
    (problem,) = archive.pgkeeper("pitr", "check", "--json").exits(INTEGRITY).json["problems"]
    assert "wal_level=minimal" in problem
    assert "pgkeeper pitr backup --kind full" in problem
    for way in ((), ("--replace", "--in-place", "--confirm", "RESTORE")):
        refused = archive.pgkeeper("pitr", "restore", "--latest", *way).exits(REFUSED)
        assert f"wal_level=minimal at {barrier['lsn']}" in refused.error
    assert archive.cluster.query("select count(*) from imported") == [(100,)]

    archive.pgkeeper("pitr", "backup", "--kind", "full", "--quiet").exits(DONE)
    archive.pgkeeper("pitr", "check").exits(DONE)
    local = archive.pgkeeper("pitr", "window", "--json").exits(DONE).json["repositories"][0]
    assert local["barriers"][0]["before"] == local["spans"][-1]["begins_at"]
    assert local["spans"][-1]["open"]
    archive.pgkeeper("pitr", "restore", "--latest", "--dry-run").exits(DONE)


def test_a_check_that_cannot_reach_the_server_fails(archive: Archive) -> None:
    archive.cluster.stop()
    try:
        run = archive.pgkeeper("pitr", "check", "--json").exits(FAILED)
    finally:
        archive.cluster.start()
    assert "cannot connect" in run.json["problems"][0]


def test_every_command_says_that_it_is_not_set_up(archive: Archive) -> None:
    archive.pgkeeper.configure(BACKUP_PITR_ENABLED="false")
    try:
        for call in (("window",), ("check",), ("backup",), ("mark", "x"), ("verify",), ("detach", "cloud"), ("attach", "cloud")):
            run = archive.pgkeeper("pitr", *call).exits(CONFIGURATION)
            assert "point-in-time recovery is not set up" in run.error
    finally:
        archive.pgkeeper.configure(BACKUP_PITR_ENABLED="true")
