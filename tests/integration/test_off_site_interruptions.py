"""Copying off site that is cut off, runs long, or fails for days costs nothing that was there before."""

from __future__ import annotations

import os
import signal
import socket
import time
from datetime import timedelta

import pytest

from .support.history import aged_copy, newest, settled
from .support.mail import mail_server
from .support.off_site import BucketInside, another_host
from .support.product import BUSY, DONE, FAILED, Pgkeeper
from .support.user import make_service_directory
from .support.waiting import wait_until

# Does not compress: about 27 MB in four parts.
LARGE = """
create table t as select md5(n::text || 'a') || md5(n::text || 'b') || md5(n::text || 'c') as filler from generate_series(1, 500000) n;
"""
SLOW = "3M"


def parts_sent(inside: BucketInside) -> int:
    return sum(
        len(inside.client.list_parts(Bucket=inside.bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", ()))
        for upload in inside.unfinished()
    )


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_an_upload_that_is_killed_goes_on_where_it_was(pgkeeper: Pgkeeper, inside: BucketInside, parts: int) -> None:
    pgkeeper.create_database("app", LARGE)
    backup_id = pgkeeper.backup("app")
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT=SLOW)
    with pgkeeper.start("sync") as running:
        wait_until(lambda: bool(inside.unfinished()) and parts_sent(inside) >= parts, f"{parts} parts", 60)
        os.kill(running.pid, signal.SIGKILL)
        running.result()
    sent = parts_sent(inside)
    assert pgkeeper("list", "--from", "cloud", "--json").exits(DONE).json["backups"] == []
    assert not inside.named("manifest.json")
    pgkeeper("verify", backup_id).exits(DONE)
    (before,) = [upload["UploadId"] for upload in inside.unfinished()]
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT="0")
    with pgkeeper.start("sync", "--json") as running:
        run = running.result(120).exits(DONE)
    assert [outcome["backup_id"] for outcome in run.json["outcomes"]] == [backup_id]
    if not parts:
        # Killed before it had written down what it began, it began anew; what it does not know of goes with the next run.
        pgkeeper("sync").exits(DONE)
    assert inside.unfinished() == []
    assert before, sent
    pgkeeper("verify", "--from", "cloud").exits(DONE)
    assert not list((pgkeeper.state / "off-site").glob("*-on-its-way/*"))


def test_copying_one_backup_leaves_what_was_sent_of_another(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", LARGE)
    pgkeeper.backup("app")
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT=SLOW)
    with pgkeeper.start("sync") as running:
        wait_until(lambda: bool(inside.unfinished()) and parts_sent(inside) >= 1, "a part", 60)
        os.kill(running.pid, signal.SIGKILL)
        running.result()
    before = inside.unfinished()[0]["UploadId"]
    pgkeeper.create_database("small")
    small = pgkeeper.backup("small")
    pgkeeper("sync", small).exits(DONE)
    assert [upload["UploadId"] for upload in inside.unfinished()] == [before]


def test_what_will_not_be_sent_any_more_leaves_nothing_there(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", LARGE)
    backup_id = pgkeeper.backup("app")
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT=SLOW)
    with pgkeeper.start("sync") as running:
        wait_until(lambda: bool(inside.unfinished()) and parts_sent(inside) >= 1, "a part", 60)
        os.kill(running.pid, signal.SIGKILL)
        running.result()
    assert inside.named(".enc"), "the small files go first"
    pgkeeper("delete", backup_id, "--confirm", "DELETE").exits(DONE)
    pgkeeper("sync").exits(DONE)
    assert inside.unfinished() == []
    assert inside.named(".enc") == []


def test_a_sync_that_is_told_to_stop_stops_and_says_so(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", LARGE)
    pgkeeper.backup("app")
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT="200K")
    with pgkeeper.start("sync") as running:
        wait_until(lambda: bool(inside.unfinished()), "an upload", 60)
        running.signal(signal.SIGTERM)
        began = time.monotonic()
        run = running.result(30).exits(FAILED)
    assert time.monotonic() - began < 10
    assert "stopped by SIGTERM" in run.error


def test_backups_and_expiry_go_on_while_a_copy_takes_hours(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", LARGE)
    first = pgkeeper.backup("app")
    current = newest(pgkeeper, "app")
    for age in (30, 25, 1, 0.5):
        aged_copy(pgkeeper, current, timedelta(days=age))
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT="500K")
    settled(pgkeeper)
    with pgkeeper.start("sync") as running:
        wait_until(lambda: bool(inside.unfinished()), "an upload", 60)
        being_sent = inside.unfinished()[0]["Key"].split("/")[-2]
        second = pgkeeper.backup("app")
        report = pgkeeper("expire", "--json").exits(DONE).json
        assert being_sent not in report["removed"]
        reasons = {decision["backup_id"]: decision["reason"] for database in report["databases"] for decision in database["decisions"]}
        assert reasons[being_sent] == "it is being read"
        pgkeeper("sync").exits(BUSY)
        running.signal(signal.SIGTERM)
        running.result(30)
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT="0")
    copied = [outcome["backup_id"] for outcome in pgkeeper("sync", "--json").exits(DONE).json["outcomes"]]
    assert copied == sorted(copied)
    assert {first, second} < set(copied)


def test_the_owner_hears_of_failing_copies_once_and_not_each_half_hour(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    with mail_server() as mailbox, inside.gone():
        pgkeeper.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?from=backup@example.org&to=owner@example.org")
        pgkeeper.backup("app")
        for _ in range(3):
            pgkeeper("sync").exits(FAILED)
        assert mailbox.subject() == f"⚠️ Zoo - Cloud Sync Alert on {socket.gethostname()}"
        assert inside.bucket in mailbox.body()
        pgkeeper("backup", "--database", "app").exits(DONE)
    pgkeeper("sync").exits(DONE)
    assert len(mailbox.messages) == 1


def test_two_hosts_with_clusters_of_one_name_never_meet_in_a_bucket(pgkeeper: Pgkeeper, inside: BucketInside, storage: str) -> None:
    pgkeeper.create_database("app")
    other = another_host(pgkeeper, storage, inside.bucket, "other")
    mine, theirs = pgkeeper.backup("app"), other.backup("app")
    for keeper in (pgkeeper, other):
        keeper("sync").exits(DONE)
    for keeper, backup_id in ((pgkeeper, mine), (other, theirs)):
        assert [backup["backup_id"] for backup in keeper("list", "--from", "cloud", "--json").json["backups"]] == [backup_id]
    pgkeeper("delete", mine, "--from", "cloud", "--confirm", "DELETE").exits(DONE)
    other("verify", "--from", "cloud").exits(DONE)


def test_a_fetch_that_is_killed_goes_on_and_what_nobody_comes_back_for_is_removed(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", LARGE)
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    downloads = pgkeeper.backups / ".downloads"
    with pgkeeper.start("verify", backup_id, "--from", "cloud", "--level", "restore") as running:
        wait_until(lambda: any(path.stat().st_size for path in downloads.glob("*/database.sql.gz.enc")), "the dump's beginning", 60)
        os.kill(running.pid, signal.SIGKILL)
        running.result()
    (place,) = downloads.glob("*")
    for content in place.iterdir():
        assert b"PostgreSQL database dump" not in content.read_bytes()
    pgkeeper("verify", backup_id, "--from", "cloud", "--level", "restore").exits(DONE)
    assert not downloads.exists()
    make_service_directory(downloads)
    stale = make_service_directory(downloads / "stale")
    os.utime(stale, (time.time() - 3 * 86400,) * 2)
    pgkeeper("expire").exits(DONE)
    assert not stale.exists()
