"""A directory as a store."""

import fcntl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.model.errors import BackupGoneError, BusyError, IntegrityError, OperationFailed, RefusedError, UsageError
from pgkeeper.model.manifest import MANIFEST_FILE, Manifest
from pgkeeper.model.pin import Pin
from pgkeeper.model.proof import Level, Proof
from pgkeeper.model.seal import Seal
from pgkeeper.stores.files import write_file
from pgkeeper.stores.local import LocalStore
from pgkeeper.stores.local_copy import LocalCopy
from tests.unit.builders import AT, manifest

CLUSTER = "15-main"
SEAL = Seal(b"k" * 32)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store", "db1", SEAL)


def publish(store: LocalStore, at: datetime = AT, database: str = "app") -> LocalCopy:
    wanted: Manifest = manifest(at, database=database)
    with store.building(CLUSTER, database, wanted.backup_id) as place:
        entry = write_file(place / "data", [b"content"])
        return store.publish(place, wanted.model_copy(update={"files": (entry,)}))


def proof(backup: LocalCopy, level: Level) -> Proof:
    at = datetime(2026, 1, 3, tzinfo=UTC)
    return Proof(
        backup_id=backup.backup_id, manifest_sha256=backup.manifest_sha256(), level=level, made_by="pgkeeper test",
        started_at=at, finished_at=at, seconds=1.5, tables=1, rows=2,
    )  # fmt: skip


def everything(store: LocalStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


@pytest.mark.parametrize("database", ["app", "app-x", "..", "host=/x", "-x", 'Ü"; rm -rf', "a/b", "x" * 63])
def test_a_published_backup_is_found_with_its_content(store: LocalStore, database: str) -> None:
    published = publish(store, database=database)
    (found,) = store.backups()
    assert (found.database, found.cluster, found.created_at) == (database, CLUSTER, AT)
    assert store.find(published.backup_id).manifest().database.name == database
    assert b"".join(found.read(found.manifest().files[0])) == b"content"


def test_backups_are_listed_newest_first(store: LocalStore) -> None:
    for days in (2, 0, 1):
        publish(store, AT + timedelta(days=days))
    assert [backup.created_at for backup in store.backups()] == [AT + timedelta(days=days) for days in (2, 1, 0)]


def test_what_is_being_built_is_no_backup_and_leaves_nothing_when_it_fails(store: LocalStore) -> None:
    with store.building(CLUSTER, "app", manifest().backup_id) as place:
        write_file(place / "data", [b"content"])
        write_file(place / MANIFEST_FILE, [b"not yet"])
        assert store.backups() == ()
    assert everything(store) == []


def test_what_a_killed_run_left_is_removed_by_the_next(store: LocalStore) -> None:
    left = store.home / CLUSTER / "app" / ".building-app-20250101T000000Z"
    left.mkdir(parents=True)
    (left / "data").write_bytes(b"half")
    kept = publish(store)
    assert everything(store) == [str(path.relative_to(store.root)) for path in (kept.path / "data", kept.path / MANIFEST_FILE)]


def test_no_manifest_no_backup(store: LocalStore) -> None:
    backup = publish(store)
    (backup.path / MANIFEST_FILE).unlink()
    assert store.backups() == ()
    with pytest.raises(UsageError):
        store.find(backup.backup_id)


def test_a_deleted_backup_leaves_nothing_and_others_alone(store: LocalStore) -> None:
    old, new = publish(store), publish(store, AT + timedelta(days=1))
    store.delete(old)
    assert [backup.backup_id for backup in store.backups()] == [new.backup_id]
    assert all(new.backup_id in path for path in everything(store))


def test_a_damaged_manifest_is_listed_and_named(store: LocalStore) -> None:
    backup = publish(store)
    path = backup.path / MANIFEST_FILE
    path.write_bytes(path.read_bytes().replace(b"it's ours", b"it's mine"))
    assert not store.backups()[0].readable()
    with pytest.raises(IntegrityError, match="damaged"):
        backup.manifest()


def test_successful_checks_are_remembered_until_one_fails(store: LocalStore) -> None:
    backup = publish(store)
    assert backup.verified() == {}
    checks = [proof(backup, "checksum"), proof(backup, "contents")]
    for check in checks:
        backup.keep_proof(check)
    assert backup.verified() == {check.level: check.finished_at for check in checks}
    backup.keep_damage("contents", "a row is missing", AT)
    assert backup.verified() == {}


def test_damage_that_was_found_counts_until_a_check_as_deep_succeeds(store: LocalStore) -> None:
    backup = publish(store)
    assert backup.whole()
    backup.keep_damage("contents", "a row is missing", AT)
    assert not backup.whole()
    backup.keep_proof(proof(backup, "checksum"))
    damage = backup.damage()
    assert damage is not None
    assert damage.found == "a row is missing"
    backup.keep_proof(proof(backup, "contents"))
    assert backup.damage() is None
    assert backup.whole()


def test_a_restore_that_differed_leaves_the_backup_whole_and_its_other_proofs(store: LocalStore) -> None:
    backup = publish(store)
    levels: tuple[Level, ...] = ("checksum", "contents", "restore")
    for level in levels:
        backup.keep_proof(proof(backup, level))
    backup.keep_damage("restore", "an index differs", AT, contents_right=True)
    assert backup.whole()
    assert list(backup.verified()) == ["checksum", "contents"]
    backup.keep_proof(proof(backup, "contents"))
    damage = backup.damage()
    assert damage is not None
    assert damage.only_restore
    backup.keep_proof(proof(backup, "restore"))
    assert backup.damage() is None


def test_what_a_deeper_check_found_is_not_forgotten_by_a_shallower_one(store: LocalStore) -> None:
    backup = publish(store)
    backup.keep_damage("restore", "an index differs", AT, contents_right=True)
    backup.keep_damage("checksum", "a byte is wrong", AT)
    assert not backup.whole()
    for level in ("checksum", "contents"):
        backup.keep_proof(proof(backup, level))
        damage = backup.damage()
        assert damage is not None
        assert damage.level == "restore"
    backup.keep_proof(proof(backup, "restore"))
    assert backup.damage() is None


def test_a_record_of_damage_of_bytes_is_what_older_releases_write(store: LocalStore) -> None:
    backup = publish(store)
    backup.keep_damage("contents", "a row is missing", AT)
    assert b"contents_right" not in (backup.path / "damage.json").read_bytes()


def test_damage_that_somebody_made_up_does_not_count(store: LocalStore) -> None:
    backup, other = publish(store), publish(store, AT + timedelta(days=1))
    backup.keep_damage("contents", "a row is missing", AT)
    content = (backup.path / "damage.json").read_bytes()
    for forged in (content, content.replace(b"contents", b"checksum"), b"{}"):
        (other.path / "damage.json").write_bytes(forged)
        assert other.whole()


def test_a_proof_counts_for_its_own_backup_and_manifest_alone(store: LocalStore) -> None:
    backup, other = publish(store), publish(store, AT + timedelta(days=1))
    backup.keep_proof(proof(backup, "restore"))
    content = (backup.path / "proof-restore.json").read_bytes()
    (other.path / "proof-restore.json").write_bytes(content)
    assert other.verified() == {}
    (backup.path / "proof-contents.json").write_bytes(content)
    assert list(backup.verified()) == ["restore"]
    manifest_file = backup.path / MANIFEST_FILE
    manifest_file.write_bytes(manifest_file.read_bytes() + b" ")
    assert backup.verified() == {}


def test_a_proof_that_somebody_changed_or_another_host_sealed_does_not_count(store: LocalStore) -> None:
    backup = publish(store)
    backup.keep_proof(proof(backup, "restore"))
    path = backup.path / "proof-restore.json"
    whole = path.read_bytes()
    for content in (whole.replace(b'"rows": 2', b'"rows": 3'), whole[:-9], b"", b"[]", b'{"seal": "00"}'):
        path.write_bytes(content)
        assert backup.verified() == {}
    path.write_bytes(whole)
    assert list(backup.verified()) == ["restore"]
    (elsewhere,) = LocalStore(store.root, "db1", Seal(b"x" * 32)).backups()
    assert elsewhere.verified() == {}


def test_a_place_belongs_to_its_first_machine_and_cluster(store: LocalStore) -> None:
    store.claim("machine1", CLUSTER, "1", adopt=False)
    store.claim("machine1", CLUSTER, "1", adopt=False)
    store.claim("machine1", "17-main", "2", adopt=False)
    for machine, system in (("machine2", "1"), ("machine1", "9")):
        with pytest.raises(RefusedError, match="--adopt"):
            store.claim(machine, CLUSTER, system, adopt=False)
    store.claim("machine2", CLUSTER, "9", adopt=True)
    store.claim("machine2", CLUSTER, "9", adopt=False)


def test_an_owner_nobody_can_read_is_not_overwritten(store: LocalStore) -> None:
    store.claim("machine1", CLUSTER, "1", adopt=False)
    (store.home / "owner.json").write_bytes(b"{")
    with pytest.raises(RefusedError, match="cannot be understood"):
        store.claim("machine1", CLUSTER, "1", adopt=False)


def test_a_store_that_cannot_be_created_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OperationFailed, match="cannot create"):
        LocalStore(tmp_path / "file" / "store", "db1", SEAL).claim("m", CLUSTER, "1", adopt=False)


def test_two_hosts_in_one_directory_never_meet(store: LocalStore) -> None:
    publish(store)
    assert LocalStore(store.root, "db2", SEAL).backups() == ()


def test_a_backup_that_is_being_read_is_not_removed(store: LocalStore) -> None:
    backup = publish(store)
    with backup.being_read():
        with pytest.raises(BusyError):
            store.delete(backup)
        assert store.backups() == (backup,)
        assert backup.readable()
    store.delete(backup)
    assert store.backups() == ()


def test_a_backup_that_was_removed_is_gone_not_damaged(store: LocalStore) -> None:
    backup = publish(store)
    store.delete(backup)
    for use in (backup.manifest, backup.manifest_sha256, backup.being_read().__enter__):
        with pytest.raises(BackupGoneError, match="there is no backup") as caught:
            use()
        assert caught.value.exit_status == UsageError.exit_status


def test_a_backup_that_is_removed_before_the_lease_is_had_is_gone(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = publish(store)

    def removed_meanwhile(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        store.delete(backup)
        fcntl.flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with pytest.raises(BackupGoneError), backup.being_read():
        pytest.fail("the lease of what is gone was had")


def test_a_link_to_another_disk_is_followed(store: LocalStore, tmp_path: Path) -> None:
    backup = publish(store)
    moved = tmp_path / "elsewhere"
    backup.path.parent.rename(moved)
    backup.path.parent.symlink_to(moved)
    assert [found.backup_id for found in store.backups()] == [backup.backup_id]


def pin(backup: LocalCopy, reason: str = "before the migration") -> Pin:
    return Pin(backup_id=backup.backup_id, reason=reason, pinned_at=AT)


def test_a_pin_is_kept_until_it_is_taken_off(store: LocalStore) -> None:
    backup = publish(store)
    assert (backup.pinned(), backup.pin()) == (False, None)
    backup.keep_pin(pin(backup))
    assert (backup.pinned(), backup.pin()) == (True, pin(backup))
    backup.forget_pin()
    assert (backup.pinned(), backup.pin()) == (False, None)


def test_a_pin_that_cannot_be_believed_counts_and_says_so(store: LocalStore) -> None:
    backup, other = publish(store), publish(store, AT + timedelta(days=1))
    path = backup.path / "pin.json"
    backup.keep_pin(pin(other))
    foreign = path.read_bytes()
    backup.keep_pin(pin(backup))
    whole = path.read_bytes()
    for content in (foreign, whole.replace(b"migration", b"Migration"), whole[:-9], b"", b"[]"):
        path.write_bytes(content)
        assert backup.pinned()
        with pytest.raises(IntegrityError, match="damaged or not genuine"):
            backup.pin()
    path.unlink()
    path.symlink_to("nowhere")
    assert backup.pinned()
    with pytest.raises(IntegrityError, match="link to nowhere"):
        backup.pin()


def test_a_backup_that_lacks_a_file_or_a_part_of_one_is_not_whole(store: LocalStore) -> None:
    backup = publish(store)
    assert backup.whole()
    (entry, *_) = backup.manifest().files
    file = backup.path / entry.name
    content = file.read_bytes()
    file.write_bytes(content + b"x")
    assert not backup.whole()
    file.write_bytes(content)
    assert backup.whole()
    file.unlink()
    assert not backup.whole()
    assert backup.readable()
    assert not backup.gone()
    store.delete(backup)
    assert backup.gone()


def test_what_a_killed_deletion_left_is_never_listed_and_is_removed(store: LocalStore) -> None:
    backup, other = publish(store), publish(store, AT + timedelta(days=1))
    hidden = backup.path.rename(backup.path.with_name(f".deleting-{backup.backup_id}"))
    assert store.backups() == (other,)
    store.sweep()
    assert not hidden.exists()
    assert store.backups() == (other,)


def test_a_place_that_is_ours_already_needs_no_writing(store: LocalStore) -> None:
    assert not store.claimed("machine1", CLUSTER, "1")
    store.claim("machine1", CLUSTER, "1", adopt=False)
    assert store.claimed("machine1", CLUSTER, "1")
    for machine, cluster, system in (("machine2", CLUSTER, "1"), ("machine1", CLUSTER, "2"), ("machine1", "17-main", "1")):
        assert not store.claimed(machine, cluster, system)
    for content in (b"", b"[]", b"{}", b'{"machine": "machine1", "clusters": []}'):
        (store.home / "owner.json").write_bytes(content)
        assert not store.claimed("machine1", CLUSTER, "1")
