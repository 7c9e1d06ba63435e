"""The other ways to have copies off site: age, a replica, a bucket that lets nobody delete, programs instead of people."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.model.names import split_backup_id

from .support.faulty_http import LASTING, Fault, Faulty, error, method
from .support.history import aged, aged_copy, history, newest, settled
from .support.http_proxy import Answer, http_proxy
from .support.object_storage import KEY, KEY_ID, make_bucket
from .support.off_site import ENCRYPTION_KEY, BucketInside, another_host, identity, identity_file, set_up
from .support.product import CONFIGURATION, DONE, FAILED, INTEGRITY, REFUSED, USAGE, Pgkeeper
from .support.user import SERVICE_USER, service_ids

LOGIN_PAGE = Answer(200, {"content-type": "text/html"}, b"<html><body><h1>Please log in</h1></body></html>")
PROGRAM = """
import asyncio, json, sys
from pgkeeper.cloud_backup_service import CloudBackupService

async def main(path, target):
    service = CloudBackupService()
    backup_id = await service.upload_backup(path)
    again = await service.upload_backup(path)
    listed = [backup.backup_id for backup in await service.list_backups()]
    whole = await service.verify_backup(backup_id)
    fetched = await service.download_backup(backup_id, target)
    await service.delete_backup(backup_id)
    left = [backup.backup_id for backup in await service.list_backups()]
    print(json.dumps([backup_id, again, listed, whole, fetched, left]))

asyncio.run(main(*sys.argv[1:]))
"""


def test_with_age_a_host_cannot_read_its_own_copies_but_check_them(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    recipient, private = identity_file(pgkeeper.home)
    pgkeeper.configure(BACKUP_ENCRYPTION_METHOD="age", BACKUP_AGE_RECIPIENTS=recipient, BACKUP_ENCRYPTION_KEY=None)
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    assert all(content.startswith(b"age-encryption.org/") for key, content in inside.objects().items() if key.endswith(".enc"))
    pgkeeper("verify", "--from", "cloud", "--level", "checksum").exits(DONE)
    for call in (("verify", "--from", "cloud", "--level", "contents"), ("restore", "latest", "--from", "cloud", "--to", "never")):
        assert "BACKUP_AGE_IDENTITY_FILE" in pgkeeper(*call).exits(REFUSED).error
    pgkeeper.configure(BACKUP_AGE_IDENTITY_FILE=str(private))
    pgkeeper("verify", "--from", "cloud").exits(DONE)
    assert pgkeeper.restore(backup_id, "--from", "cloud", "--to", "back")["rows"] == 100
    assert not [key for key in inside.named() if "on-its-way" in key]
    assert inside.unfinished() == []


def test_copies_that_somebody_else_signed_are_not_believed(pgkeeper: Pgkeeper, inside: BucketInside, storage: str) -> None:
    recipient, private = identity_file(pgkeeper.home)
    age = {"BACKUP_ENCRYPTION_METHOD": "age", "BACKUP_AGE_RECIPIENTS": recipient, "BACKUP_AGE_IDENTITY_FILE": str(private)}
    pgkeeper.configure(BACKUP_ENCRYPTION_KEY=None, **age)
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    other = another_host(pgkeeper, storage, inside.bucket, "other", **age)
    other.configure(BACKUP_ENCRYPTION_KEY=None)
    host = identity(pgkeeper)
    run = other("verify", "--from", "cloud", "--host", host).exits(INTEGRITY)
    signer = next(word for word in run.error.replace(",", " ").split() if word.startswith("pgkeeper-signer-"))
    doctor = pgkeeper("doctor").output
    assert signer in doctor
    other.configure(BACKUP_AGE_SIGNERS=signer)
    other("verify", "--from", "cloud", "--host", host).exits(DONE)


def test_a_replica_gets_every_copy_and_goes_on_alone(pgkeeper: Pgkeeper, inside: BucketInside, storage: str) -> None:
    replica = BucketInside(storage, make_bucket(storage))
    pgkeeper.configure(
        BACKUP_REPLICA_PROVIDER="aws", BACKUP_REPLICA_ENDPOINT_URL=storage, BACKUP_REPLICA_BUCKET_NAME=replica.bucket,
        BACKUP_REPLICA_KEY_ID=KEY_ID, BACKUP_REPLICA_KEY=KEY,
    )  # fmt: skip
    pgkeeper.create_database("app")
    first = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    assert pgkeeper("list", "--json").json["backups"][0]["stores"] == ["local", "cloud", "replica"]
    second = pgkeeper.backup("app")
    with inside.gone():
        run = pgkeeper("sync", "--json").exits(FAILED)
        assert [(outcome["store"], outcome["backup_id"]) for outcome in run.json["outcomes"]] == [("replica", second)]
    pgkeeper("verify", second, "--from", "replica").exits(DONE)
    pgkeeper("sync").exits(DONE)
    assert [key.split("/")[-2] for key in inside.named("manifest.json")] == [first, second]


def test_where_the_bucket_removes_pgkeeper_asks_for_no_right_to(pgkeeper: Pgkeeper, inside: BucketInside, storage: str) -> None:
    forbidden = Fault(method("DELETE"), LASTING, instead=error(403, "AccessDenied", "no"))
    with http_proxy(storage, Faulty(forbidden)) as proxy:
        set_up(
            pgkeeper, proxy.url, inside.bucket, BACKUP_CLOUD_EXPIRY="bucket", BACKUP_RETENTION_DAYS="60", BACKUP_LOCAL_RETENTION_DAYS="365"
        )
        backups = [path.name for path in history(pgkeeper, 50, 40, 2, 1)]
        pgkeeper("sync").exits(DONE)
        pgkeeper.configure(BACKUP_RETENTION_DAYS="30")
        settled(pgkeeper)
        assert "cloud" not in pgkeeper("expire", "--json").exits(DONE).json["removed_off_site"]
        pgkeeper("delete", backups[0], "--from", "cloud", "--confirm", "DELETE").exits(REFUSED)
        gone = [key for key in inside.named() if backups[0] in key]
        for key in gone:
            inside.delete(key)
        pgkeeper("sync").exits(DONE)
        for key in [key for key in inside.named() if backups[3] in key]:
            inside.delete(key)
        pgkeeper("sync").exits(INTEGRITY)
    assert not [request for request in proxy.requests if request.method == "DELETE" and "uploadId" not in request.query]


def test_somebody_elses_place_is_not_written_to_before_its_owner_says_so(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    (owner,) = inside.named("owner.json")
    document = json.loads(inside.objects()[owner])
    inside.put(owner, json.dumps({**document, "seal": "0" * 64}).encode())
    pgkeeper.backup("app")
    before = inside.objects()
    run = pgkeeper("sync").exits(REFUSED)
    assert "--adopt" in run.error
    assert inside.objects() == before
    pgkeeper("sync", "--adopt").exits(DONE)
    pgkeeper("sync").exits(DONE)


def test_a_forged_copy_is_named_and_not_taken_for_one(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    (header,) = inside.named("manifest.json")
    forged = header.replace(header.split("/")[-2], "app-20200101T000000Z")
    inside.put(forged, inside.objects()[header])
    run = pgkeeper("sync").exits(INTEGRITY)
    assert "app-20200101T000000Z" in run.error
    listed = pgkeeper("list", "--from", "cloud", "--json").exits(DONE).json["backups"]
    assert [bool(backup["problem"]) for backup in listed] == [False, True]
    pgkeeper("restore", "app-20200101T000000Z", "--from", "cloud").exits(INTEGRITY)


def test_an_old_key_still_opens_what_it_encrypted(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    keys = pgkeeper.home / "encryption.key"

    def write(*lines: str) -> None:
        keys.write_text("".join(f"{line}\n" for line in lines))
        keys.chmod(0o600)
        shutil.chown(keys, *service_ids())

    write(ENCRYPTION_KEY)
    pgkeeper.configure(BACKUP_ENCRYPTION_KEY=None, BACKUP_ENCRYPTION_KEY_FILE=str(keys))
    pgkeeper.create_database("app")
    first = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    new = ENCRYPTION_KEY[::-1].replace("=", "x")
    write(new, ENCRYPTION_KEY)
    second = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    for backup_id in (first, second):
        pgkeeper("verify", backup_id, "--from", "cloud").exits(DONE)
    write(new)
    pgkeeper("verify", second, "--from", "cloud").exits(DONE)
    assert "BACKUP_ENCRYPTION_KEY_FILE" in pgkeeper("verify", first, "--from", "cloud").exits(INTEGRITY).error


def test_what_was_lost_with_the_state_directory_is_known_again(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    shutil.rmtree(pgkeeper.state / "off-site")
    report = pgkeeper("sync", "--json").exits(DONE).json
    assert (report["outcomes"], report["stores"][0]["copies"]) == ([], 1)
    shutil.rmtree(pgkeeper.state / "off-site")
    pgkeeper("catalog", "rebuild", "--from", "cloud").exits(DONE)
    assert pgkeeper("list", "--json").json["backups"][0]["stores"] == ["local", "cloud"]
    settled(pgkeeper)
    for path in (pgkeeper.state / "off-site").glob("cloud-*.json"):
        path.write_bytes(path.read_bytes().replace(backup_id.encode(), backup_id.replace("2", "3", 1).encode(), 1))
    assert pgkeeper("sync", "--json").exits(DONE).json["stores"][0]["copies"] == 1
    assert "could not be read" in pgkeeper("expire", "--dry-run", "--json").json["held_back"]


def test_programs_use_the_same_copies(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    path = newest(pgkeeper, "app")
    target = pgkeeper.temporary / "fetched.sql.gz"
    done = pgkeeper.program(PROGRAM, str(path / "database.sql.gz"), str(target))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [backup_id, backup_id, [backup_id], True, str(target), []]
    assert target.read_bytes() == (path / "database.sql.gz").read_bytes()
    target.unlink()


def test_how_late_copies_are_is_measured(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    (before,) = pgkeeper("stats", "--json").exits(DONE).json["off_site"]
    assert (before["copies"], before["waiting"], before["succeeded_at"]) == (0, 1, None)
    assert 0 < before["lag_seconds"] < 3600
    assert "1 waiting for" in pgkeeper("stats").exits(DONE).stdout
    pgkeeper("sync").exits(DONE)
    (after,) = pgkeeper("stats", "--json").exits(DONE).json["off_site"]
    assert (after["copies"], after["waiting"], after["lag_seconds"]) == (1, 0, 0)
    assert after["size_bytes"] == sum(len(content) for key, content in inside.objects().items() if key.endswith((".enc", "/manifest.json")))
    assert "copying last went well" in pgkeeper("stats").exits(DONE).stdout


def test_one_backup_is_copied_when_it_is_named_however_old_it_is(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    old = aged_copy(pgkeeper, newest(pgkeeper, "app"), timedelta(days=100)).name
    pgkeeper("sync", old).exits(DONE)
    assert [key.split("/")[-2] for key in inside.named("manifest.json")] == [old]
    pgkeeper("sync", "app-20200101T000000Z").exits(USAGE)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"BACKUP_ENCRYPTION_KEY": "password123"}, "openssl rand -base64 32"),
        ({"BACKUP_ENCRYPTION_KEY": None}, "BACKUP_ENCRYPTION_KEY_FILE"),
        ({"BACKBLAZE_BUCKET_NAME": None}, "BACKBLAZE_BUCKET_NAME"),
        ({"BACKBLAZE_APPLICATION_KEY": None}, "BACKBLAZE_APPLICATION_KEY"),
        ({"BACKUP_CLOUD_ENDPOINT_URL": "http://s3.example.com"}, "BACKUP_CLOUD_ENDPOINT_URL"),
        ({"BACKUP_CLOUD_PROVIDER": "dropbox"}, "BACKUP_CLOUD_PROVIDER"),
        ({"BACKUP_ENCRYPTION_ENABLED": "false"}, "BACKUP_ENCRYPTION_ENABLED"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(
    pgkeeper: Pgkeeper, inside: BucketInside, changes: dict[str, str | None], named: str
) -> None:
    pgkeeper.configure(**changes)
    run = pgkeeper("sync").exits(CONFIGURATION)
    assert named in run.error
    assert KEY not in run.output
    assert ENCRYPTION_KEY not in run.output


def test_a_clone_removes_nothing_that_the_original_keeps(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    from pgkeeper.stores.owner import Owner

    pgkeeper.configure(BACKUP_RETENTION_DAYS="60", BACKUP_LOCAL_RETENTION_DAYS="365")
    history(pgkeeper, 50, 40, 2, 1)
    pgkeeper("sync").exits(DONE)
    (owner,) = inside.named("owner.json")
    ours = inside.objects()[owner]
    document = Owner.model_validate(json.loads(ours)["document"])
    script = (
        "import sys; from pathlib import Path; from pgkeeper.crypto.ring import key_ring; from pgkeeper.settings import load_settings;"
        " settings = load_settings(); import json;"
        " sys.stdout.buffer.write(key_ring(settings, settings.state_dir).sealer().seal('owner', json.loads(sys.argv[1])))"
    )
    theirs = subprocess.run(
        [sys.executable, "-c", script, document.model_copy(update={"machine": "f" * 32}).model_dump_json()],
        user=SERVICE_USER, group=SERVICE_USER, extra_groups=[], env=pgkeeper.environment(), cwd="/", capture_output=True, check=True,
    ).stdout  # fmt: skip
    inside.put(owner, theirs)
    upload = inside.client.create_multipart_upload(Bucket=inside.bucket, Key=inside.named("database.sql.gz.enc")[0])
    pgkeeper.configure(BACKUP_RETENTION_DAYS="30")
    settled(pgkeeper)
    before = inside.objects()
    assert "another machine" in pgkeeper("sync").exits(REFUSED).error
    assert "another machine" in pgkeeper("expire").exits(FAILED).error
    assert inside.objects() == before
    assert [one["UploadId"] for one in inside.unfinished()] == [upload["UploadId"]]


def test_a_whole_clone_is_noticed_by_both_and_costs_neither_a_copy(pgkeeper: Pgkeeper, inside: BucketInside, tmp_path: Path) -> None:
    """It has the same machine id, key, cluster, backups and ledger."""
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)

    def copied(source: Path, target: Path) -> None:
        for place in (pgkeeper.state, pgkeeper.backups):
            shutil.rmtree(target / place.name, ignore_errors=True)
            subprocess.run(["cp", "--archive", source / place.name, target / place.name], check=True)

    home, clone, original = pgkeeper.state.parent, tmp_path / "clone", tmp_path / "original"
    for place in (clone, original):
        place.mkdir()
    assert pgkeeper.backups.parent == home
    copied(home, clone)
    theirs = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    copied(home, original)
    copied(clone, home)
    mine = pgkeeper.backup("app")
    pgkeeper.backup("app")
    # Made in the same second as the original's.
    later = newest(pgkeeper, "app")
    assert aged(later, split_backup_id(later.name)[1] - split_backup_id(theirs)[1]).name == theirs  # type: ignore[index]
    before = inside.objects()
    upload = inside.client.create_multipart_upload(Bucket=inside.bucket, Key=inside.named("database.sql.gz.enc")[0])
    report = pgkeeper("sync", "--json").exits(REFUSED).json
    assert {one["backup_id"]: one["status"] for one in report["outcomes"]} == {mine: "done", theirs: "failed"}
    (line,) = report["stores"][0]["foreign"]
    assert theirs in line
    assert "--adopt" in line
    assert before.items() <= inside.objects().items(), "something of the original's was written over or removed"
    assert [one["UploadId"] for one in inside.unfinished()] == [upload["UploadId"]], "what the original was sending was given up"
    copied(original, home)
    for _ in range(2):
        run = pgkeeper("sync").exits(REFUSED)
        assert f"/{mine}: does a clone of this machine copy its backups there" in run.error
    assert f"1 backup in this host's place in cloud that it did not send, the newest {mine}" in pgkeeper("status").exits(FAILED).output
    settled(pgkeeper)
    databases = pgkeeper("expire", "--dry-run", "--json").json["databases"]
    assert "this host did not send" in json.dumps(databases)
    pgkeeper("sync", "--adopt").exits(DONE)
    assert pgkeeper("sync", "--json").exits(DONE).json["stores"][0]["copies"] == 3
    assert "did not send" not in pgkeeper("status").output


def test_names_as_long_as_postgresql_allows_go_off_site_too(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    name = pgkeeper.create_database("ü" * 31)
    pgkeeper.backup(name)
    pgkeeper("sync").exits(DONE)
    pgkeeper("verify", "--from", "cloud", "--level", "restore").exits(DONE)
    assert pgkeeper.restore("latest", "--from", "cloud", "--to", "back")["rows"] == 100


def test_a_listing_that_comes_late_loses_nothing(pgkeeper: Pgkeeper, inside: BucketInside, storage: str) -> None:
    pgkeeper.create_database("app")
    empty = Fault(
        method("GET", "list-type"),
        LASTING,
        changes_answer=lambda answer: replace(answer, body=re.sub(rb"<Contents>.*</Contents>", b"", answer.body, flags=re.DOTALL)),
    )
    with http_proxy(storage, Faulty(empty)) as proxy:
        set_up(pgkeeper, proxy.url, inside.bucket)
        backup_id = pgkeeper.backup("app")
        pgkeeper("sync").exits(DONE)
        report = pgkeeper("sync", "--json").exits(DONE).json
        assert report["outcomes"] == []
        assert (report["stores"][0]["copies"], report["stores"][0]["lost"]) == (1, [])
    assert [key.split("/")[-2] for key in inside.named("manifest.json")] == [backup_id]


def test_a_login_page_is_not_taken_for_a_bucket_without_backups(pgkeeper: Pgkeeper, inside: BucketInside, storage: str) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    known = pgkeeper("list", "--json").json
    calls = (
        ("list", "--from", "cloud"),
        ("verify", "--from", "cloud"),
        ("restore", "latest", "--from", "cloud", "--to", "back"),
        ("catalog", "rebuild", "--from", "cloud"),
        ("sync",),
    )
    with http_proxy(storage, Faulty(Fault(times=LASTING, instead=LOGIN_PAGE))) as proxy:
        pgkeeper.configure(BACKUP_CLOUD_ENDPOINT_URL=proxy.url)
        # Each puts up with it for twenty seconds.
        with ThreadPoolExecutor(len(calls)) as threads:
            for run in threads.map(lambda call: pgkeeper(*call, seconds=120), calls):
                assert "another answer than to what was asked" in run.exits(FAILED).error
                assert "Check BACKUP_CLOUD_ENDPOINT_URL" in run.error
    pgkeeper.configure(BACKUP_CLOUD_ENDPOINT_URL=storage)
    assert pgkeeper("list", "--json").json == known


def test_no_key_stands_in_logs_state_jobs_or_answers(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    said = [pgkeeper("sync").exits(DONE).output, pgkeeper("verify", "--from", "cloud", "--level", "restore").exits(DONE).output]
    with inside.gone():
        pgkeeper.backup("app")
        said += [pgkeeper(*call).output for call in (("sync",), ("doctor",), ("list", "--from", "cloud"), ("expire",))]
    jobs = [job["job_id"] for job in pgkeeper("job", "list", "--json").json["jobs"]]
    said += [pgkeeper("job", "log", job).output for job in jobs]
    files = {
        path: path.read_bytes() for root in (pgkeeper.logs, pgkeeper.state, pgkeeper.backups) for path in root.rglob("*") if path.is_file()
    }
    assert any(path.name == "pgkeeper.log" for path in files)
    for secret in (KEY, ENCRYPTION_KEY):
        assert not [text for text in said if secret in text]
        assert not [path for path, content in files.items() if secret.encode() in content]
    assert not [path for path in files if path.stat().st_mode & 0o077 and pgkeeper.state in path.parents]


def test_a_copy_that_was_sent_again_has_to_be_proven_again(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    pgkeeper("verify", "--from", "cloud").exits(DONE)
    (listed,) = pgkeeper("list", "--from", "cloud", "--json").json["backups"]
    assert set(listed["verified"]) == {"contents"}
    inside.delete(inside.named("database.sql.gz.enc")[0])
    removed_at = datetime.now(UTC)
    (known,) = pgkeeper("list", "--json").json["backups"]
    assert datetime.fromisoformat(known["seen"]["cloud"]) < removed_at, "nobody has looked since"
    assert "Copies in cloud as they were seen" in pgkeeper("list").output
    (asked,) = pgkeeper("list", "--from", "cloud", "--json").json["backups"]
    assert asked["problem"] == "database.sql.gz.enc is missing"
    assert datetime.fromisoformat(asked["seen"]["cloud"]) > removed_at
    pgkeeper("sync").exits(INTEGRITY)
    pgkeeper("sync").exits(DONE)
    (known,) = pgkeeper("list", "--json").json["backups"]
    assert datetime.fromisoformat(known["seen"]["cloud"]) > removed_at
    for call in (("list", "--from", "cloud", "--json"), ("list", "--json")):
        (listed,) = pgkeeper(*call).json["backups"]
        assert (listed["verified"], listed["problem"]) == ({}, "")
    pgkeeper("verify", "--from", "cloud").exits(DONE)
