"""Whoever may write to a bucket may put objects of any size there: they cost neither memory nor disk, and are damage, said plainly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from pgkeeper.crypto.envelope import CHUNK
from pgkeeper.crypto.ring import key_ring
from pgkeeper.model.bounds import HEADER_BYTES, RECORD_BYTES, SCHEMA_BYTES
from pgkeeper.model.copy import HEADER_FILE, LABEL, CopyHeader, EncryptedFile, tag_context
from pgkeeper.model.errors import IntegrityError, RefusedError
from pgkeeper.model.manifest import SCHEMA_FILE, FileEntry
from pgkeeper.model.names import backup_id
from pgkeeper.operations import examine_off_site
from pgkeeper.settings import load_settings
from pgkeeper.stores import cloud_copy
from pgkeeper.stores.bucket import Bucket, ObjectInfo, unwatched
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.cloud_copy import CloudCopy
from pgkeeper.stores.copy import DAMAGE_FILE, PIN_FILE, proof_file
from tests.unit.builders import AT

BACKUP = backup_id("app", AT)
FOLDER = f"db1/15-main/app/{BACKUP}"
SCHEMA_KEY = f"{FOLDER}/{SCHEMA_FILE}.enc"
ENDLESS = 1 << 50
TOO_MUCH = 64 << 20
BLOCK = bytes(1 << 20)


class PlantedBucket:
    """A bucket with genuine objects, and planted ones: zeros without end, listed with whatever size somebody wants them to have."""

    name = "s3://copies/pgkeeper"

    def __init__(self) -> None:
        self.genuine: dict[str, bytes] = {}
        self.planted: dict[str, int] = {}
        self.sent = 0
        """How many bytes were read of planted objects."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        sizes = {key: len(content) for key, content in self.genuine.items()} | self.planted
        yield from (ObjectInfo(key, size, datetime.now(UTC), "STANDARD") for key, size in sorted(sizes.items()) if key.startswith(prefix))

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if key not in self.planted:
            yield self.genuine[key][start:end]
            return
        position, stop = start, ENDLESS if end is None else end
        while position < stop:
            self.sent += len(piece := BLOCK[: stop - position])
            assert self.sent <= TOO_MUCH, f"{self.sent} bytes were read of {key}"
            position += len(piece)
            yield piece

    def put(self, key: str, content: bytes, _sending: object = unwatched) -> None:
        if key not in self.planted:
            self.genuine[key] = content

    def delete(self, key: str) -> None:
        self.genuine.pop(key, None)


@pytest.fixture
def bucket() -> PlantedBucket:
    return PlantedBucket()


@pytest.fixture
def store(bucket: PlantedBucket, tmp_path: Path) -> CloudStore:
    variables = {
        "PGKEEPER_ENV_FILE": "/dev/null",
        "BACKUP_DIR": str(tmp_path / "backups"),
        "BACKUP_STATE_DIR": str(tmp_path / "state"),
        "BACKUP_ENCRYPTION_KEY": "Zq3vX9kL0pWm7RtYb2Nc5HsJd8Gf1Ae4UoQiBxTzMw=",
    }
    keys = key_ring(load_settings(variables), tmp_path)
    return CloudStore("cloud", cast("Bucket", bucket), "db1", keys, tmp_path, may_delete=True, own=True)


@pytest.fixture
def schema(store: CloudStore, bucket: PlantedBucket) -> FileEntry:
    """Put a genuine copy there that has nothing but a schema; returns what its manifest says of that."""
    content, sealer = b"PGDMP, as it was", store.keys.sealer()
    ciphertext = b"".join(sealer.encrypt([content]))
    tag = sealer.tag(tag_context("db1", "15-main", BACKUP, SCHEMA_FILE), 0, ciphertext)
    header = CopyHeader(
        backup_id=BACKUP,
        host="db1",
        cluster="15-main",
        database="app",
        created_at=AT,
        predecessor=None,
        made_by="a test",
        method=sealer.method,
        key_id=sealer.key_id,
        files=(EncryptedFile(name=SCHEMA_FILE, size=len(ciphertext), chunk_bytes=CHUNK, tags=(tag,)),),
        manifest="",
        manifest_sha256="0" * 64,
    )
    bucket.genuine[SCHEMA_KEY] = ciphertext
    bucket.genuine[f"{FOLDER}/{HEADER_FILE}"] = sealer.seal(LABEL, header.model_dump(mode="json"))
    return FileEntry(name=SCHEMA_FILE, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def the_copy(store: CloudStore) -> CloudCopy:
    (copy,) = store.backups()
    return copy


USES: dict[str, Callable[[CloudCopy], object]] = {
    "header": lambda copy: copy.header,
    "manifest": lambda copy: copy.manifest(),
    "manifest_sha256": lambda copy: copy.manifest_sha256(),
    "require_complete": lambda copy: copy.require_complete(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_of_a_header_that_is_listed_as_far_too_large_nothing_is_read(
    store: CloudStore, bucket: PlantedBucket, use: Callable[[CloudCopy], object]
) -> None:
    bucket.planted[f"{FOLDER}/{HEADER_FILE}"] = 2 << 30
    with pytest.raises(IntegrityError, match=rf"the copy of backup {BACKUP} in .* is damaged: its manifest.json has 2\.") as raised:
        use(the_copy(store))
    assert raised.value.exit_status == 4
    assert bucket.sent == 0
    assert not the_copy(store).whole()


def test_of_a_header_that_is_larger_than_it_was_listed_no_more_is_read_than_one_may_have(
    store: CloudStore, bucket: PlantedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_copy, "HEADER_BYTES", most := HEADER_BYTES >> 7)
    bucket.planted[f"{FOLDER}/{HEADER_FILE}"] = 10_000
    with pytest.raises(IntegrityError, match=f"manifest.json of backup {BACKUP} in .* is damaged: it holds more than"):
        the_copy(store).manifest()
    assert bucket.sent <= most + len(BLOCK)


@pytest.mark.parametrize("name", [PIN_FILE, DAMAGE_FILE, proof_file("restore")])
def test_of_a_record_no_more_is_read_than_one_may_have_and_it_does_not_count(
    store: CloudStore, bucket: PlantedBucket, schema: FileEntry, name: str
) -> None:
    bucket.planted[f"{FOLDER}/{name}"] = 300
    copy = the_copy(store)
    if name == PIN_FILE:
        with pytest.raises(IntegrityError, match="it holds more than"):
            copy.pin()
        assert copy.pinned(), "what cannot be believed keeps a backup all the same"
    else:
        assert (copy.damage(), copy.proofs()) == (None, {})
    assert 0 < bucket.sent <= RECORD_BYTES + len(BLOCK)
    with copy.as_file(schema):
        assert copy.whole()


def test_of_whose_place_it_is_no_more_is_read_than_that_may_take(store: CloudStore, bucket: PlantedBucket) -> None:
    bucket.planted["db1/owner.json"] = 300
    with pytest.raises(RefusedError, match="cannot be believed: it holds more than"):
        store.require_ours("this machine")
    assert bucket.sent <= RECORD_BYTES + len(BLOCK)


def test_of_a_file_no_more_is_read_than_was_sent_whatever_lies_in_its_place(
    store: CloudStore, bucket: PlantedBucket, schema: FileEntry
) -> None:
    bucket.planted[SCHEMA_KEY] = 2 << 30
    copy = the_copy(store)
    with pytest.raises(IntegrityError, match=f"{SCHEMA_FILE}.enc is damaged") as raised, copy.as_file(schema):
        pass
    assert raised.value.exit_status == 4
    # It is asked for once more, since it may have been damaged on its way only.
    assert bucket.sent <= 2 * len(bucket.genuine[SCHEMA_KEY])
    with pytest.raises(IntegrityError, match=f"{SCHEMA_FILE}.enc is damaged: it has {2 << 30} bytes"):
        copy.require_complete()


def test_a_genuine_schema_that_no_memory_should_hold_is_not_held(
    store: CloudStore, schema: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert schema.size < SCHEMA_BYTES
    monkeypatch.setattr(cloud_copy, "SCHEMA_BYTES", schema.size - 1)
    with pytest.raises(IntegrityError, match="it holds more than"), the_copy(store).as_file(schema):
        pass


def test_the_doctor_reads_no_more_of_its_object_than_it_wrote(store: CloudStore, bucket: PlantedBucket) -> None:
    bucket.planted["db1/.doctor"] = 1024
    with pytest.raises(IntegrityError, match=r"\.doctor is damaged: it holds more than"):
        examine_off_site._try(store, lambda _doing: None)
    assert bucket.sent <= len(BLOCK)
