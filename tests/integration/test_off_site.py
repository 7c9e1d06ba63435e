"""Backups are copied off site encrypted, and come back from the bucket alone."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from .support.compare import contents
from .support.documentation import marked_block, run_as_written
from .support.history import history, settled
from .support.off_site import ENCRYPTION_KEY, BucketInside, another_host, identity, openssl
from .support.product import DONE, FAILED, INTEGRITY, REFUSED, USAGE, Pgkeeper
from .support.user import make_service_directory


@pytest.fixture
def newcomer(storage: str, inside: BucketInside, pgkeeper: Pgkeeper) -> Pgkeeper:
    """A new host that has nothing but bucket and key."""
    return another_host(pgkeeper, storage, inside.bucket, "new")


def test_what_is_backed_up_is_copied_and_nothing_of_it_can_be_read_there(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", "create table customers as select 'somebody@example.com'::text as email from generate_series(1, 1000);")
    backup_id = pgkeeper.backup("app")
    report = pgkeeper("sync", "--json").exits(DONE).json
    assert [(outcome["backup_id"], outcome["status"]) for outcome in report["outcomes"]] == [(backup_id, "done")]
    (store,) = report["stores"]
    assert (store["copies"], store["waiting"], store["lost"]) == (1, 0, [])
    place = f"pgkeeper/{pgkeeper.published()[0].relative_to(pgkeeper.backups)}"
    names = {key.removeprefix(f"{place}/") for key in inside.named() if key.startswith(place)}
    assert names == {"manifest.json", "database.sql.gz.enc", "schema.dump.enc", "globals.sql.gz.enc", "server-config.tar.gz.enc"}
    for key, content in inside.objects().items():
        assert b"customers" not in content, key
        assert b"SCRAM" not in content, key
        assert b"PGDMP" not in content, key
    again = pgkeeper("sync", "--json").exits(DONE).json
    assert again["outcomes"] == []


def test_openssl_alone_opens_a_copy(pgkeeper: Pgkeeper, inside: BucketInside, tmp_path: Path) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    (key,) = inside.named("database.sql.gz.enc")
    encrypted, opened = tmp_path / "backup.sql.gz.enc", tmp_path / "backup.sql.gz"
    encrypted.write_bytes(inside.objects()[key])
    openssl(["-aes-256-cbc", "-d", "-pbkdf2"], encrypted, opened)
    assert opened.read_bytes() == (pgkeeper.published()[0] / "database.sql.gz").read_bytes()
    assert b"PostgreSQL database dump complete" in gzip.decompress(opened.read_bytes())


@pytest.mark.parametrize("level", ["checksum", "contents", "restore"])
def test_a_copy_is_checked_where_it_is(pgkeeper: Pgkeeper, inside: BucketInside, level: str) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    shutil.rmtree(pgkeeper.published()[0])
    (outcome,) = pgkeeper("verify", "--from", "cloud", "--level", level, "--json").exits(DONE).json["outcomes"]
    assert (outcome["backup_id"], outcome["status"], outcome["rows"]) == (backup_id, "done", 100)
    assert inside.named(f"proof-{level}.json")
    (listed,) = pgkeeper("list", "--json").exits(DONE).json["backups"]
    assert listed["stores"] == ["cloud"]
    assert level in listed["verified"]
    assert not list(pgkeeper.backups.glob(".downloads/*"))


def test_a_database_comes_back_when_nothing_is_left_on_the_host(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", "create table t as select n, repeat('x', n % 100) as filler from generate_series(1, 50000) n;")
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    shutil.rmtree(pgkeeper.backups)
    pgkeeper.backups.mkdir()
    shutil.chown(pgkeeper.backups, "postgres", "postgres")
    report = pgkeeper.restore("latest", "--from", "cloud", "--to", "back")
    assert "fetch" in report["phases"]
    assert (report["backup_id"], report["rows"]) == (backup_id, 50000)
    assert pgkeeper.cluster.query("select count(*), sum(n) from t", database="back") == [(50000, 1250025000)]


def test_a_database_takes_its_place_again_from_a_copy(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    pgkeeper.cluster.psql("app", "delete from t")
    shutil.rmtree(pgkeeper.published()[0])
    report = pgkeeper("restore", "latest", "--from", "cloud", "--replace", "--confirm", "RESTORE", "--json").exits(DONE).json
    pgkeeper.databases.add(report["kept_as"])
    assert pgkeeper.cluster.query("select count(*) from t", database="app") == [(100,)]


def test_another_host_restores_from_bucket_and_key_alone_and_changes_nothing_there(
    pgkeeper: Pgkeeper, newcomer: Pgkeeper, inside: BucketInside
) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    before = inside.objects()
    host = identity(pgkeeper)
    missing = newcomer("catalog", "rebuild", "--from", "cloud").exits(USAGE)
    assert host in missing.error
    rebuilt = newcomer("catalog", "rebuild", "--from", "cloud", "--host", host, "--json").exits(DONE).json
    assert (rebuilt["copies"], rebuilt["host"], rebuilt["adopted"]) == (1, host, False)
    newcomer("verify", "--from", "cloud", "--host", host, "--level", "restore").exits(DONE)
    report = newcomer.restore(backup_id, "--from", "cloud", "--host", host, "--to", "there")
    pgkeeper.databases.add("there")
    assert report["rows"] == 100
    assert inside.objects() == before


def test_a_copy_that_somebody_took_away_is_missed_by_a_host_that_never_knew_it(
    pgkeeper: Pgkeeper, newcomer: Pgkeeper, inside: BucketInside
) -> None:
    pgkeeper.create_database("app")
    backups = []
    for _ in range(3):
        backups.append(pgkeeper.backup("app"))
        pgkeeper("sync").exits(DONE)
    rebuild = ("catalog", "rebuild", "--from", "cloud", "--host", identity(pgkeeper))
    assert newcomer(*rebuild, "--json").exits(DONE).json["warnings"] == []
    for key in inside.named():
        if f"/{backups[1]}/" in key:
            inside.delete(key)
    run = newcomer(*rebuild).exits(DONE)
    assert backups[1] in run.warnings
    assert backups[2] in run.warnings


def test_a_new_machine_goes_on_as_the_old_one(pgkeeper: Pgkeeper, newcomer: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    first = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    host = identity(pgkeeper)
    newcomer("catalog", "rebuild", "--from", "cloud", "--host", host, "--adopt").exits(DONE)
    second = newcomer.backup("app")
    newcomer("sync").exits(DONE)
    listed = newcomer("list", "--json").exits(DONE).json["backups"]
    assert {backup["backup_id"]: backup["stores"] for backup in listed} == {first: ["cloud"], second: ["local", "cloud"]}


def test_copies_catch_up_in_order_when_the_bucket_is_back(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    ids = [pgkeeper.backup("app") for _ in range(3)]
    with inside.gone():
        assert inside.bucket in pgkeeper("sync").exits(FAILED).error
        status = pgkeeper("status", "--json").json
        assert any("copies to cloud fail" in finding["text"] for finding in status["findings"])
    report = pgkeeper("sync", "--json").exits(DONE).json
    assert [outcome["backup_id"] for outcome in report["outcomes"]] == sorted(ids)
    headers = [json.loads(inside.objects()[key]) for key in inside.named("manifest.json")]
    assert [header["document"]["predecessor"] for header in headers] == [None, *sorted(ids)[:2]]
    assert not any("cloud" in finding["text"] for finding in pgkeeper("status", "--json").json["findings"])


@pytest.mark.parametrize("hurt", ["flipped", "cut", "longer", "gone", "older", "other database", "header", "header of another"])
def test_a_copy_that_is_not_what_was_uploaded_is_named(pgkeeper: Pgkeeper, inside: BucketInside, hurt: str) -> None:
    for name in ("app", "other"):
        pgkeeper.create_database(name)
        pgkeeper.backup(name)
    first = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    objects = inside.objects()
    data = [key for key in objects if key.endswith("database.sql.gz.enc")]
    (mine,) = [key for key in data if first in key]
    (older,) = [key for key in data if "/app/" in key and first not in key]
    (other,) = [key for key in data if "/other/" in key]
    header = mine.replace("database.sql.gz.enc", "manifest.json")
    content = objects[mine]
    if hurt == "flipped":
        inside.put(mine, content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif hurt == "cut":
        inside.put(mine, content[:-16])
    elif hurt == "longer":
        inside.put(mine, content + b"x" * 16)
    elif hurt == "gone":
        inside.delete(mine)
    elif hurt == "older":
        inside.put(mine, objects[older])
    elif hurt == "other database":
        inside.put(mine, objects[other])
    elif hurt == "header":
        inside.put(header, objects[header].replace(b'"made_by": "pgkeeper', b'"made_by": "somebody'))
    else:
        inside.put(header, objects[older.replace("database.sql.gz.enc", "manifest.json")])
    run = pgkeeper("verify", first, "--from", "cloud", "--level", "checksum").exits(INTEGRITY)
    assert ("genuine" if hurt == "header" else "in its place lies" if hurt == "header of another" else "database.sql.gz.enc") in run.error
    pgkeeper("restore", first, "--from", "cloud", "--to", "never").exits(INTEGRITY)
    assert "never" not in pgkeeper.cluster.databases()
    assert not list(pgkeeper.backups.glob(".downloads/*"))


def test_a_bucket_that_was_set_back_is_noticed_and_filled_again(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    yesterday = inside.objects()
    second = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    inside.set_back(yesterday)
    run = pgkeeper("sync", "--json").exits(INTEGRITY)
    assert any(second in lost and "set back" in lost for lost in run.json["stores"][0]["lost"])
    assert [outcome["backup_id"] for outcome in run.json["outcomes"]] == [second]
    pgkeeper("sync").exits(DONE)


def test_a_wrong_key_opens_nothing(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    pgkeeper.configure(BACKUP_ENCRYPTION_KEY="Aq3vX9kL0pWm7RtYb2Nc5HsJd8Gf1Ae4UoQiBxTzMw=")
    for call in (("verify", "--from", "cloud"), ("restore", "latest", "--from", "cloud", "--to", "never")):
        run = pgkeeper(*call).exits(INTEGRITY)
        assert "key" in run.error
    assert "never" not in pgkeeper.cluster.databases()


def test_objects_of_others_are_ignored_and_never_removed(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    host = identity(pgkeeper)
    foreign = {
        "somebody/else.txt": b"x",
        "pgkeeper/readme.txt": b"x",
        f"pgkeeper/{host}/notes.txt": b"x",
        f"pgkeeper/{host}/15-main/app/not-a-backup/manifest.json": b"{}",
        f"pgkeeper/{host}/15-main/app/app-20200101T000000Z/holiday.jpg": b"x",
        "pgkeeper/otherhost/15-main/app/app-20200101T000000Z/database.sql.gz.enc": b"x",
    }
    for key, content in foreign.items():
        inside.put(key, content)
    pgkeeper("sync").exits(DONE)
    pgkeeper("expire").exits(DONE)
    pgkeeper("sync").exits(DONE)
    objects = inside.objects()
    assert {key: objects.get(key) for key in foreign} == foreign
    assert len(pgkeeper("list", "--from", "cloud", "--json").exits(DONE).json["backups"]) == 1


def test_old_copies_expire_by_their_own_days_and_pinned_ones_stay(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.configure(BACKUP_RETENTION_DAYS="60", BACKUP_LOCAL_RETENTION_DAYS="365")
    backups = [path.name for path in history(pgkeeper, 50, 45, 40, 2, 1)]
    pgkeeper("pin", backups[0]).exits(DONE)
    pgkeeper("sync").exits(DONE)
    pgkeeper.configure(BACKUP_RETENTION_DAYS="30")
    settled(pgkeeper)
    planned = pgkeeper("expire", "--dry-run", "--json").exits(DONE).json
    assert planned["removed_off_site"] == {"cloud": backups[1:3]}
    assert len(inside.named("manifest.json")) == 6
    assert pgkeeper("expire", "--json").exits(DONE).json["removed_off_site"] == {"cloud": backups[1:3]}
    assert [key.split("/")[-2] for key in inside.named("manifest.json")] == sorted([backups[0], *backups[3:]])
    assert not [key for key in inside.named() if backups[1] in key or backups[2] in key]
    assert pgkeeper("sync", "--json").exits(DONE).json["outcomes"] == []


def test_nothing_expires_off_site_while_copying_fails(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.configure(BACKUP_RETENTION_DAYS="60", BACKUP_LOCAL_RETENTION_DAYS="365")
    history(pgkeeper, 50, 45, 40, 2, 1)
    pgkeeper("sync").exits(DONE)
    pgkeeper.configure(BACKUP_RETENTION_DAYS="30")
    settled(pgkeeper)
    pgkeeper.backup("app")
    with inside.gone():
        pgkeeper("sync").exits(FAILED)
    report = pgkeeper("expire", "--json").exits(DONE).json
    assert report["removed_off_site"] == {"cloud": []}
    assert any("copies could not be made" in database["refused"] for database in report["databases"] if database["store"] == "cloud")
    pgkeeper("sync").exits(DONE)
    assert len(pgkeeper("expire", "--json").exits(DONE).json["removed_off_site"]["cloud"]) == 3


def test_a_copy_is_removed_only_on_its_owners_word_and_not_sent_again(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    pgkeeper("delete", backup_id, "--from", "cloud").exits(REFUSED)
    pgkeeper("delete", backup_id, "--from", "cloud", "--confirm", "DELETE").exits(DONE)
    assert not inside.named(".enc")
    assert pgkeeper("sync", "--json").exits(DONE).json["outcomes"] == []
    assert pgkeeper("list", "--json").exits(DONE).json["backups"][0]["stores"] == ["local"]


def test_the_doctor_tries_the_bucket_for_real(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    def findings() -> list[dict[str, str]]:
        return [finding for finding in pgkeeper("doctor", "--json").json["findings"] if finding["subject"] == "cloud"]

    assert {finding["level"] for finding in findings()} == {"ok"}
    assert inside.named() == []
    pgkeeper.configure(BACKBLAZE_BUCKET_NAME="nowhere")
    assert [finding["level"] for finding in findings()] == ["problem"]


def test_the_emergency_procedure_of_the_documentation_brings_a_copy_back(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", "create table t as select n, 'row ' || n as text from generate_series(1, 1000) n;")
    backup_id = pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    copy = make_service_directory(pgkeeper.home / "download")
    for key, content in inside.objects().items():
        if f"/{backup_id}/" in key:
            (copy / key.rpartition("/")[2]).write_bytes(content)
            (copy / key.rpartition("/")[2]).chmod(0o644)
    opened = make_service_directory(pgkeeper.home / "opened") / backup_id
    done = run_as_written(
        marked_block("cloud-setup.md", "emergency-decrypt"),
        pgkeeper.cluster,
        COPY=str(copy),
        BACKUP=str(opened),
        BACKUP_ENCRYPTION_KEY=ENCRYPTION_KEY,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pgkeeper.databases.add("emergency")
    again = marked_block("restore-procedures.md", "emergency-restore")
    done = run_as_written(again, pgkeeper.cluster, BACKUP=str(opened), NEW="emergency")
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(pgkeeper.cluster, "emergency") == contents(pgkeeper.cluster, "app")
