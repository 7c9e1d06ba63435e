"""A drill brings everything back from bucket and key alone, says how long that took, and leaves the bucket as it was."""

from __future__ import annotations

import signal
import socket
import time
from typing import Any

import pytest

from .support.mail import mail_server
from .support.object_storage import KEY, KEY_ID, make_bucket
from .support.off_site import BucketInside, another_host, identity, identity_file
from .support.product import BUSY, CONFIGURATION, DONE, FAILED, INTEGRITY, USAGE, Pgkeeper

TABLE = "create table t as select n, repeat('x', n % 100) as filler from generate_series(1, {}) n;"


@pytest.fixture
def driller(storage: str, inside: BucketInside, pgkeeper: Pgkeeper) -> Pgkeeper:
    """A new host that has nothing but bucket and key."""
    return another_host(pgkeeper, storage, inside.bucket, "driller", BACKUP_CLOUD_EXPIRY="bucket")


def lost(keeper: Pgkeeper, *databases: str) -> str:
    """Copy databases off site and lose them; returns the host's name."""
    for database in databases:
        keeper.backup(database)
    keeper("sync").exits(DONE)
    for database in databases:
        keeper.cluster.drop_database(database)
    return identity(keeper)


def by_database(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {outcome["database"]: outcome for outcome in report["outcomes"]}


def test_everything_comes_back_timed_by_phase_and_the_bucket_stays_as_it_was(
    pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside
) -> None:
    pgkeeper.create_database("app", TABLE.format(20000))
    pgkeeper.create_database("shop")
    host = lost(pgkeeper, "app", "shop")
    before = inside.listing()
    report = driller("drill", "run", "--host", host, "--keep", "--json").exits(DONE).json
    assert inside.listing() == before
    assert (report["host"], report["drilled_on"], report["copies"], report["unchanged"], report["error"]) == (
        host,
        "driller",
        2,
        True,
        None,
    )
    outcomes = by_database(report)
    assert {name: (outcome["rows"], outcome["target"], outcome["kept"]) for name, outcome in outcomes.items()} == {
        "app": (20000, "app", True),
        "shop": (100, "shop", True),
    }
    assert pgkeeper.cluster.query("select count(*), sum(n) from t", database="app") == [(20000, 200010000)]
    for outcome in outcomes.values():
        assert list(outcome["phases"]) == ["find", "fetch", "prove", "restore"]
        recovery = sum(outcome["phases"][phase] for phase in ("find", "fetch", "restore"))
        assert outcome["recovery_seconds"] == pytest.approx(recovery, abs=0.01)
        assert 0 < outcome["age_seconds"] < 120
    assert list(report["phases"]) == ["find", "fetch", "prove", "restore", "listing"]
    assert report["recovery_seconds"] == pytest.approx(sum(report["phases"][phase] for phase in ("find", "fetch", "restore")), abs=0.01)
    assert report["recovery_seconds"] < report["seconds"]
    assert not list(driller.backups.glob(".downloads/*"))


def test_what_is_not_kept_is_dropped_and_what_has_the_name_is_left_alone(
    pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside
) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("gone")
    pgkeeper.backup("app")
    host = lost(pgkeeper, "gone")
    pgkeeper.cluster.psql("app", "delete from t where n > 7")
    before = pgkeeper.cluster.databases()
    outcomes = by_database(driller("drill", "run", "--host", host, "--json").exits(DONE).json)
    assert outcomes["app"]["target"].startswith("app_drill_")
    assert (outcomes["gone"]["target"], outcomes["gone"]["kept"]) == ("gone", False)
    assert pgkeeper.cluster.databases() == before
    assert pgkeeper.cluster.query("select count(*) from t", database="app") == [(7,)]


def test_the_protocol_is_kept_and_says_what_the_checklist_asks(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    assert "No drill" in driller("drill", "list").exits(DONE).stdout
    report = driller("drill", "run", "--host", host, "--json").exits(DONE).json
    (listed,) = driller("drill", "list", "--json").exits(DONE).json["drills"]
    shown = driller("drill", "show", report["drill_id"], "--json").exits(DONE).json
    assert shown == report
    assert listed["drill_id"] == report["drill_id"]
    assert (driller.state / "drills" / f"{report['drill_id']}.json").stat().st_mode & 0o777 == 0o600
    protocol = driller("drill", "show", report["drill_id"]).exits(DONE).stdout
    for words in (
        "result       passed",
        f"of host      {host}, 1 copy in",
        "recovery     ",
        "age of data  ",
        "100 rows in 1 database",
        "PROVE",
    ):
        assert words in protocol
    (job,) = [job for job in driller("job", "list", "--json").exits(DONE).json["jobs"] if job["operation"] == "drill"]
    assert job["state"] == "done"


def test_one_databases_damage_does_not_hide_that_the_others_come_back_and_the_owner_is_told(
    pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside
) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("shop")
    host = lost(pgkeeper, "app", "shop")
    (key,) = [key for key in inside.named("database.sql.gz.enc") if "/app/" in key]
    content = inside.objects()[key]
    inside.put(key, content[:100] + bytes([content[100] ^ 1]) + content[101:])
    before = inside.listing()
    with mail_server() as mailbox:
        driller.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?from=a@example.org&to=b@example.org")
        run = driller("drill", "run", "--host", host, "--json").exits(INTEGRITY)
        body = mailbox.body()
    assert "DRILL FAILED" in body
    assert "shop" in body
    assert "database.sql.gz.enc is damaged" in " ".join(body.split())
    outcomes = by_database(run.json)
    assert (outcomes["app"]["status"], outcomes["shop"]["status"]) == ("failed", "done")
    assert list(outcomes["app"]["phases"]) == ["find", "fetch"]
    assert (run.json["recovery_seconds"], run.json["unchanged"]) == (None, True)
    assert inside.listing() == before
    (job,) = [job for job in driller("job", "list", "--json").json["jobs"] if job["operation"] == "drill"]
    assert job["state"] == "failed"


def test_the_owner_is_told_of_a_drill_that_was_passed(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    with mail_server() as mailbox:
        driller.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?from=a@example.org&to=b@example.org")
        report = driller("drill", "run", "--host", host, "--json").exits(DONE).json
        assert mailbox.subject() == f"✅ Zoo - Disaster Recovery Drill Passed on {socket.gethostname()}"
        assert report["drill_id"] in mailbox.body()


@pytest.mark.parametrize("change", ["new", "gone", "written anew"])
def test_a_bucket_that_changes_meanwhile_fails_the_drill_by_name(
    pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside, change: str
) -> None:
    pgkeeper.create_database("app", TABLE.format(20000))
    pgkeeper.backup("app")
    host = lost(pgkeeper, "app")
    keys = sorted(key for key in inside.named("globals.sql.gz.enc") if f"/{host}/" in key)
    key = keys[0] if change != "new" else f"pgkeeper/{host}/new-thing"
    content = inside.objects().get(key, b"x")
    time.sleep(1.1)  # moto's times, as those of providers, are whole seconds
    with driller.start("drill", "run", "--host", host, "--json") as running:
        running.wait_for_child("postgres")
        if change == "gone":
            inside.delete(key)
        else:
            inside.put(key, content)
        run = running.result().exits(INTEGRITY)
    assert f"{key.removeprefix('pgkeeper/')} {'is ' if change != 'written anew' else 'was '}{change}" in run.error
    assert (run.json["unchanged"], by_database(run.json)["app"]["status"]) == (False, "done")


def test_a_host_or_a_database_without_copies_is_named(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    assert host in driller("drill", "run").exits(USAGE).error
    assert "other" in driller("drill", "run", "--host", host, "--database", "other").exits(USAGE).error
    assert not list(driller.state.glob("drills/*"))
    driller("drill", "show", "../../host-identity").exits(USAGE)
    driller("drill", "run", "--from", "replica", "--host", host).exits(CONFIGURATION)


def test_where_copies_are_encrypted_with_age_the_private_key_and_the_hosts_public_one_bring_everything_back(
    pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside
) -> None:
    recipient, private = identity_file(pgkeeper.home)
    age = {"BACKUP_ENCRYPTION_METHOD": "age", "BACKUP_AGE_RECIPIENTS": recipient, "BACKUP_ENCRYPTION_KEY": None}
    pgkeeper.configure(**age)
    driller.configure(**age)
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    run = driller("drill", "run", "--host", host).exits(INTEGRITY)
    signer = next(word for word in run.error.replace(",", " ").split() if word.startswith("pgkeeper-signer-"))
    assert signer in pgkeeper("doctor").output
    driller.configure(BACKUP_AGE_SIGNERS=signer)
    assert "BACKUP_AGE_IDENTITY_FILE" in driller("drill", "run", "--host", host).error
    driller.configure(BACKUP_AGE_IDENTITY_FILE=str(private))
    report = driller("drill", "run", "--host", host, "--keep", "--json").exits(DONE).json
    assert by_database(report)["app"]["rows"] == 100
    assert pgkeeper.cluster.query("select count(*) from t", database="app") == [(100,)]


def test_a_replica_alone_brings_everything_back(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside, storage: str) -> None:
    replica = BucketInside(storage, make_bucket(storage))
    for keeper in (pgkeeper, driller):
        keeper.configure(
            BACKUP_REPLICA_PROVIDER="aws", BACKUP_REPLICA_ENDPOINT_URL=storage, BACKUP_REPLICA_BUCKET_NAME=replica.bucket,
            BACKUP_REPLICA_KEY_ID=KEY_ID, BACKUP_REPLICA_KEY=KEY,
        )  # fmt: skip
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    before = replica.listing()
    with inside.gone():
        driller("drill", "run", "--host", host).exits(FAILED)
        report = driller("drill", "run", "--host", host, "--from", "replica", "--json").exits(DONE).json
    assert (report["store"], report["unchanged"], by_database(report)["app"]["rows"]) == ("replica", True, 100)
    assert replica.listing() == before


def test_only_the_databases_that_are_asked_for_are_drilled(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.create_database("shop")
    host = lost(pgkeeper, "app", "shop")
    report = driller("drill", "run", "--host", host, "--database", "shop", "--json").exits(DONE).json
    assert list(by_database(report)) == ["shop"]


def test_a_bucket_that_is_gone_is_a_failed_drill_with_a_protocol(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    with inside.gone():
        run = driller("drill", "run", "--host", host, "--json").exits(FAILED)
    assert (run.json["outcomes"], run.json["unchanged"], run.json["recovery_seconds"]) == ([], None, None)
    protocol = driller("drill", "show", run.json["drill_id"]).exits(DONE).stdout
    assert "result       failed" in protocol
    assert run.json["error"]["what"] in protocol
    (job,) = driller("job", "list", "--json").json["jobs"]
    events = driller("job", "log", job["job_id"], "--json").json["events"]
    assert [event["text"] for event in events if event["kind"] == "error"] == [run.error.removeprefix("pgkeeper: ")]


def test_a_wrong_key_brings_nothing_back(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    driller.configure(BACKUP_ENCRYPTION_KEY="Aq3vX9kL0pWm7RtYb2Nc5HsJd8Gf1Ae4UoQiBxTzMw=")
    run = driller("drill", "run", "--host", host, "--json").exits(INTEGRITY)
    assert "key" in run.error
    assert "app" not in pgkeeper.cluster.databases()


def test_a_host_drills_its_own_copies_and_proves_nothing_in_the_bucket(pgkeeper: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper("sync").exits(DONE)
    before = inside.listing()
    report = pgkeeper("drill", "run", "--json").exits(DONE).json
    assert report["host"] == report["drilled_on"] == identity(pgkeeper)
    assert inside.listing() == before


def test_one_drill_at_a_time(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", TABLE.format(20000))
    host = lost(pgkeeper, "app")
    with driller.start("drill", "run", "--host", host, "--json") as running:
        running.wait_for_child("postgres")
        assert "a drill is already running" in driller("drill", "run", "--host", host).exits(BUSY).error
        running.result().exits(DONE)


def test_a_drill_is_a_job_that_is_done_once(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app")
    host = lost(pgkeeper, "app")
    first = driller("drill", "run", "--host", host, "--job", "quarter-3", "--json").exits(DONE).json
    again = driller("drill", "run", "--host", host, "--job", "quarter-3", "--json").exits(DONE).json
    assert again == first
    assert len(driller("drill", "list", "--json").json["drills"]) == 1


def test_a_drill_that_was_killed_leaves_nothing_in_the_way_of_the_next(pgkeeper: Pgkeeper, driller: Pgkeeper, inside: BucketInside) -> None:
    pgkeeper.create_database("app", TABLE.format(20000))
    host = lost(pgkeeper, "app")
    before = inside.listing()
    with driller.start("drill", "run", "--host", host) as running:
        running.wait_for_child("postgres")
        running.signal(signal.SIGKILL)
        running.result()
    assert list(driller.backups.glob(".downloads/*"))
    driller("drill", "run", "--host", host).exits(DONE)
    assert driller.debris() == []
    assert inside.listing() == before
    assert "app" not in pgkeeper.cluster.databases()
