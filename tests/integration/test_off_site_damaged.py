"""A copy off site that a check found damaged is sent again, said so, and never half-way taken for whole; or it stays, and is named."""

from __future__ import annotations

import json
import os
import signal

import pytest

from .support.faulty_http import LASTING, Fault, Faulty, error, method
from .support.history import newest
from .support.http_proxy import http_proxy
from .support.manifests import change_dump
from .support.off_site import BucketInside, set_up
from .support.product import DONE, INTEGRITY, Pgkeeper
from .support.waiting import wait_until
from .test_off_site_interruptions import LARGE, SLOW, parts_sent

SCRIPT = "create table t (word text); insert into t values ('genuine value');"
DUMP = "database.sql.gz.enc"


def flip(inside: BucketInside, name: str = DUMP) -> str:
    """Change a byte of an object, whose size stays; returns its key."""
    (key,) = inside.named(name)
    content = inside.objects()[key]
    inside.put(key, content[:100] + bytes([content[100] ^ 1]) + content[101:])
    return key


def sent_and_damaged(pgkeeper: Pgkeeper, inside: BucketInside, script: str = SCRIPT, level: str = "checksum") -> str:
    """A backup with a copy that a check found damaged."""
    pgkeeper.create_database("app", script)
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    flip(inside)
    pgkeeper("verify", backup_id, "--from", "cloud", "--level", level).exits(INTEGRITY)
    assert inside.named("damage.json")
    return backup_id


def damaged(pgkeeper: Pgkeeper) -> list[str]:
    """Sync, and return what is damaged and stays."""
    run = pgkeeper("sync", "--json").exits(INTEGRITY)
    assert run.json["outcomes"] == []
    (line,) = run.json["stores"][0]["damaged"]
    assert line in run.error
    return [line]


@pytest.mark.parametrize("level", ["checksum", "contents", "restore"])
def test_a_damaged_copy_is_sent_again_and_everybody_is_told_which_and_why(pgkeeper: Pgkeeper, inside: BucketInside, level: str) -> None:
    backup_id = sent_and_damaged(pgkeeper, inside, level=level)
    pgkeeper("pin", backup_id, "--reason", "kept").exits(DONE)
    run = pgkeeper("sync", "--json").exits(DONE)
    (outcome,) = run.json["outcomes"]
    assert (outcome["backup_id"], outcome["status"]) == (backup_id, "done")
    assert "are not those that were uploaded" in outcome["again"]
    assert (run.json["stores"][0]["damaged"], run.json["stores"][0]["copies"]) == ([], 1)
    logged = [json.loads(line) for line in (pgkeeper.logs / "pgkeeper.log").read_text().splitlines()]
    (said,) = [line for line in logged if line["event"] == "copied again"]
    assert said["backup_id"] == backup_id
    assert outcome["again"] == said["why"]
    assert not inside.named("damage.json")
    assert inside.named("pin.json")
    pgkeeper("verify", backup_id, "--from", "cloud", "--level", "restore").exits(DONE)
    assert pgkeeper("sync", "--json").exits(DONE).json["outcomes"] == []


def test_a_copy_that_is_sent_again_is_said_to_be_in_a_line_for_people(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    backup_id = sent_and_damaged(pgkeeper, inside)
    output = pgkeeper("sync").exits(DONE).output
    (line,) = [line for line in output.splitlines() if line.startswith(backup_id)]
    assert "again, because" in line
    assert DUMP in line


def test_what_is_lost_and_sent_again_says_so_too(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    inside.delete(inside.named(DUMP)[0])
    (outcome,) = pgkeeper("sync", "--json").exits(INTEGRITY).json["outcomes"]
    assert outcome["again"] == f"{DUMP} is missing"
    pgkeeper("verify", "--from", "cloud").exits(DONE)


def test_a_copy_that_is_damaged_and_lost_is_sent_again_once(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    backup_id = sent_and_damaged(pgkeeper, inside)
    (key,) = inside.named(DUMP)
    inside.put(key, inside.objects()[key][:-16])
    report = pgkeeper("sync", "--json").exits(INTEGRITY).json
    assert [outcome["backup_id"] for outcome in report["outcomes"]] == [backup_id]
    assert report["stores"][0]["damaged"] == []
    assert pgkeeper("sync", "--json").exits(DONE).json["outcomes"] == []


def test_a_damaged_copy_whose_backup_is_gone_stays_and_is_named(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    backup_id = sent_and_damaged(pgkeeper, inside)
    pgkeeper("delete", backup_id, "--confirm", "DELETE").exits(DONE)
    before = inside.objects()
    (line,) = damaged(pgkeeper)
    assert f"the copy of backup {backup_id}" in line
    assert "not on this host any more" in line
    assert f"pgkeeper delete {backup_id} --from cloud" in line
    assert inside.objects() == before
    pgkeeper("delete", backup_id, "--from", "cloud", "--confirm", "DELETE").exits(DONE)
    pgkeeper("sync").exits(DONE)


@pytest.mark.parametrize("hurt", ["flipped", "other contents", "cut", "recorded"])
def test_a_damaged_copy_whose_backup_is_damaged_too_stays_and_is_named(pgkeeper: Pgkeeper, inside: BucketInside, hurt: str) -> None:
    backup_id = sent_and_damaged(pgkeeper, inside)
    directory = newest(pgkeeper, "app")
    file = directory / "database.sql.gz"
    content = file.read_bytes()
    if hurt == "other contents":
        change_dump(directory, b"genuine value", b"another value")
    elif hurt == "cut":
        file.write_bytes(content[:-1])
    else:
        file.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    if hurt == "recorded":
        pgkeeper("verify", backup_id, "--level", "checksum").exits(INTEGRITY)
    before = inside.objects()
    (line,) = damaged(pgkeeper)
    assert "its backup on this host is damaged, too" in line
    assert inside.objects() == before
    assert hurt == "cut" or (directory / "damage.json").exists()
    damaged(pgkeeper)


def test_a_sync_of_other_backups_leaves_a_damaged_copy_alone(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    sent_and_damaged(pgkeeper, inside)
    pgkeeper.create_database("other")
    other = pgkeeper.backup("other")
    report = pgkeeper("sync", other, "--json").exits(DONE).json
    assert [outcome["backup_id"] for outcome in report["outcomes"]] == [other]
    assert inside.named("damage.json")


def test_killed_while_a_damaged_copy_is_sent_again_nothing_of_it_is_replaced_before_the_new_dump_is_whole(
    pgkeeper: Pgkeeper, inside: BucketInside
) -> None:
    backup_id = sent_and_damaged(pgkeeper, inside, LARGE)
    before = inside.objects()
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT=SLOW)
    with pgkeeper.start("sync") as running:
        wait_until(lambda: parts_sent(inside) >= 1, "a part", 60)
        os.kill(running.pid, signal.SIGKILL)
        running.result()
    assert inside.objects() == before
    (upload,) = [one["UploadId"] for one in inside.unfinished()]
    (listed,) = pgkeeper("list", "--from", "cloud", "--json").json["backups"]
    assert listed["problem"]
    pgkeeper.configure(BACKUP_CLOUD_UPLOAD_LIMIT="0")
    with pgkeeper.start("sync", "--json") as running:
        (outcome,) = running.result(120).exits(DONE).json["outcomes"]
    assert (outcome["backup_id"], bool(outcome["again"])) == (backup_id, True)
    assert upload not in [one["UploadId"] for one in inside.unfinished()]
    pgkeeper("verify", backup_id, "--from", "cloud").exits(DONE)


@pytest.mark.parametrize("hurt", ["flipped", "gone"])
def test_a_mixture_of_an_old_and_a_new_copy_is_never_believed_and_the_next_sync_finishes_it(
    pgkeeper: Pgkeeper, inside: BucketInside, storage: str, hurt: str
) -> None:
    pgkeeper.create_database("app", SCRIPT)
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    (header,) = inside.named("manifest.json")
    if hurt == "flipped":
        key = flip(inside)
        pgkeeper("verify", "--from", "cloud", "--level", "checksum").exits(INTEGRITY)
    else:
        (key,) = inside.named(DUMP)
        inside.delete(key)
    before = inside.objects()
    late = Fault(lambda request: request.method == "PUT" and "manifest.json" in request.target, LASTING, delay=60)
    with http_proxy(storage, Faulty(late)) as proxy:
        set_up(pgkeeper, proxy.url, inside.bucket)
        with pgkeeper.start("sync") as running:
            wait_until(lambda: late.seen, "the header", 60)
            os.kill(running.pid, signal.SIGKILL)
            running.result()
    after = inside.objects()
    assert after[header] == before[header]
    assert all(after[name] != content for name, content in before.items() if name.endswith(".enc")), "all files are new, the header is old"
    set_up(pgkeeper, storage, inside.bucket)
    (listed,) = pgkeeper("list", "--from", "cloud", "--json").json["backups"]
    assert listed["problem"]
    pgkeeper("restore", backup_id, "--from", "cloud", "--to", "never").exits(INTEGRITY)
    # Even where somebody took the record of damage away.
    for name in inside.named("damage.json"):
        inside.delete(name)
    (outcome,) = pgkeeper("sync", "--json").exits(DONE).json["outcomes"]
    assert outcome["backup_id"] == backup_id
    assert outcome["again"]
    pgkeeper("verify", backup_id, "--from", "cloud").exits(DONE)
    assert not list((pgkeeper.state / "off-site").glob("*-on-its-way/*"))
    assert pgkeeper("sync", "--json").exits(DONE).json["outcomes"] == []


def test_a_damaged_copy_is_sent_again_where_pgkeeper_may_not_delete(pgkeeper: Pgkeeper, inside: BucketInside, storage: str) -> None:
    forbidden = Fault(method("DELETE"), LASTING, instead=error(403, "AccessDenied", "no"))
    with http_proxy(storage, Faulty(forbidden)) as proxy:
        set_up(pgkeeper, proxy.url, inside.bucket, BACKUP_CLOUD_EXPIRY="bucket")
        pgkeeper.create_database("app", SCRIPT)
        backup_id = pgkeeper.backup("app")
        pgkeeper("sync").exits(DONE)
        pgkeeper("verify", "--from", "cloud", "--level", "contents").exits(DONE)
        flip(inside)
        pgkeeper("verify", "--from", "cloud", "--level", "contents").exits(INTEGRITY)
        (outcome,) = pgkeeper("sync", "--json").exits(DONE).json["outcomes"]
        assert outcome["again"]
        (listed,) = pgkeeper("list", "--from", "cloud", "--json").json["backups"]
        assert (listed["verified"], listed["problem"]) == ({}, "")
        pgkeeper("verify", backup_id, "--from", "cloud").exits(DONE)
