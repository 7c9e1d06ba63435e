"""A copy in a bucket: encrypted files, and the header that describes them."""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from pgkeeper.crypto.envelope import KeyRing, Opener
from pgkeeper.host.locks import shared
from pgkeeper.host.logs import log
from pgkeeper.model.bounds import HEADER_BYTES, RECORD_BYTES, SCHEMA_BYTES, bounded
from pgkeeper.model.copy import ENCRYPTED, HEADER_FILE, LABEL, CopyHeader, EncryptedFile, tag_context
from pgkeeper.model.errors import IntegrityError, UncheckedError
from pgkeeper.model.manifest import FileEntry, Manifest, parse_manifest
from pgkeeper.model.names import short_name
from pgkeeper.model.progress import Progress
from pgkeeper.model.sizes import format_size
from pgkeeper.stores.bucket import Bucket, BucketRefusedError, ObjectGoneError, ObjectInfo
from pgkeeper.stores.copy import PIN_FILE, RECORDS, Copy, ProgramFile, Sealing
from pgkeeper.stores.download import stream
from pgkeeper.stores.fetch import fetched
from pgkeeper.stores.files import BLOCK, checked, gunzip


class CloudCopy(Copy):
    """One copy below `folder` of a bucket, with the `objects` there by their names.

    `writable` is False for the copies of another host: what is found out about them is then not written down. `may_delete` is False where
    only the bucket removes: a record that does not hold any more is emptied there.
    """

    def __init__(
        self,
        identity: tuple[str, str, str, datetime],
        place: tuple[Bucket, str, str],
        objects: Mapping[str, ObjectInfo],
        keys: KeyRing,
        state_dir: Path,
        *,
        writable: bool,
        may_delete: bool = True,
    ) -> None:
        """`identity` is id, cluster, database and time, `place` the bucket, the copy's folder in it and its host's identity."""
        super().__init__(*identity, KeyRingSealing(keys))
        self.bucket, self.folder, self._host = place
        self.objects = objects
        self._keys = keys
        self._state_dir = state_dir
        self._writable = writable
        self._may_delete = may_delete
        self._records = {name for name in RECORDS if name in objects and objects[name].size}

    @property
    def where(self) -> str:
        """Bucket and folder."""
        return f"{self.bucket.name}/{self.folder}"

    @property
    def version(self) -> tuple[int, int, int]:
        """Time and size of the header."""
        header = self.objects[HEADER_FILE]
        return int(header.modified_at.timestamp() * 1e9), header.size, 0

    @property
    def size_bytes(self) -> int:
        """Size of all its objects."""
        return sum(found.size for found in self.objects.values())

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of its objects by name."""
        return {name: found.size for name, found in self.objects.items()}

    @cached_property
    def _header_bytes(self) -> bytes:
        size = self.objects[HEADER_FILE].size
        if size > HEADER_BYTES:
            what = f"the copy of backup {self.backup_id} in {self.bucket.name} is damaged"
            raise IntegrityError(what, f"its {HEADER_FILE} has {format_size(size)}, at most {format_size(HEADER_BYTES)} are read")
        try:
            return self._all_of(HEADER_FILE, HEADER_BYTES)
        except ObjectGoneError:
            raise self._gone_error() from None

    @cached_property
    def header(self) -> CopyHeader:
        """What the copy says of itself. Raises IntegrityError unless one of ours made it, for this very place; BackupGoneError."""
        what = f"the copy of backup {self.backup_id} in {self.bucket.name} is not what it should be"
        try:
            header = CopyHeader.model_validate(self._keys.open(LABEL, self._header_bytes))
        except ValidationError as error:
            # The seal is ours, so nobody changed it.
            raise UncheckedError(what, "its header has another form", "it may be from another version of pgkeeper") from error
        said = (header.backup_id, header.host, header.cluster, header.database, header.created_at)
        if said != (self.backup_id, self._host, self.cluster, self.database, self.created_at):
            other = f"{header.backup_id} of {header.database} in cluster {header.cluster} on {header.host}"
            raise IntegrityError(what, f"in its place lies the header of {other}", "somebody has moved objects in the bucket")
        return header

    def require_complete(self) -> None:
        """Raise IntegrityError when an object is missing or has another size than the header says. Nothing of their content is read."""
        for file in self.header.files:
            found = self.objects.get(file.name + ENCRYPTED)
            if found is None:
                raise IntegrityError(f"{file.name}{ENCRYPTED} is missing", f"it is not in {self.where}")
            if found.size != file.size:
                raise IntegrityError(
                    f"{file.name}{ENCRYPTED} is damaged", f"it has {found.size} bytes in {self.where}, promised are {file.size}"
                )

    def manifest(self) -> Manifest:
        """Decrypt the manifest in the header. Raises RefusedError (exit status 6) where the private key is missing."""
        what = f"the manifest of backup {self.backup_id} in {self.bucket.name} is damaged"
        try:
            encrypted = base64.b64decode(self.header.manifest, validate=True)
        except binascii.Error as error:
            raise IntegrityError(what, "it is not base64") from error
        content = b"".join(self._opener.decrypt([encrypted]))
        if hashlib.sha256(content).hexdigest() != self.header.manifest_sha256:
            raise IntegrityError(what, "its SHA-256 is not the header's")
        return parse_manifest(content, self.backup_id)

    def manifest_sha256(self) -> str:
        """Return the header's own: it holds the tags of every piece, so a proof of this copy is none of one that was sent again."""
        return hashlib.sha256(self._header_bytes).hexdigest()

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Hold a shared lock on this host."""
        with shared(self._state_dir, self.lease):
            if self.gone():
                raise self._gone_error()
            yield

    @property
    def lease(self) -> str:
        """Name of the lock that whoever removes the copy must hold alone."""
        return f"copy {short_name(self.where)}"

    def whole(self) -> bool:
        """Look at the sizes of all objects."""
        try:
            self.require_complete()
        except IntegrityError:
            return False
        return not self.known_wrong()

    def gone(self) -> bool:
        """Ask for the header."""
        return self.bucket.head(self._key(HEADER_FILE)) is None

    def check(self, progress: Progress) -> None:
        """Read all objects and compare their tags; needs no private key."""
        self.require_complete()
        done = 0
        for file in self.header.files:
            for chunk in self._ciphertext(file):
                done += len(chunk)
                progress.advance(done, self.header.size_bytes)

    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """Read and decrypt a file, in blocks of about 1 MiB; each piece of ciphertext is checked before it is used."""
        return self._naming_itself(checked(self._opener.decrypt(_in_blocks(self._ciphertext(self._file(entry.name)))), entry))

    def read_gzip(self, entry: FileEntry) -> Iterator[bytes]:
        """Read, decrypt and decompress a file."""
        return self._naming_itself(gunzip(self.read(entry), entry.name))

    @contextmanager
    def as_file(self, entry: FileEntry) -> Iterator[ProgramFile]:
        """Yield the decrypted file in memory: no plaintext gets on a disk."""
        with os.fdopen(os.memfd_create("pgkeeper-file"), "wb") as file:
            for block in bounded(self.read(entry), SCHEMA_BYTES, f"{entry.name} of backup {self.backup_id}"):
                file.write(block)
            file.flush()
            yield ProgramFile(Path(f"/dev/fd/{file.fileno()}"), (file.fileno(),))

    @contextmanager
    def at_hand(self, directory: Path, progress: Progress) -> Iterator[Copy]:
        """Fetch all objects, as they are, and yield a copy that reads from there. Afterwards they go; if it fails they stay for a while."""
        self.require_complete()
        with fetched(directory, self.bucket, self.folder, self.header, self.check_chunk, progress) as place:
            yield FetchedCopy(self, place)

    def forget_checks(self) -> None:
        """Remove what checks found out about the copy."""
        for name in sorted(RECORDS - {PIN_FILE}):
            self._drop_record(name)

    def check_chunk(self, file: EncryptedFile, number: int, chunk: bytes) -> None:
        """Raise IntegrityError unless this is piece `number` of the file's ciphertext."""
        context = tag_context(self._host, self.cluster, self.backup_id, file.name)
        if number >= len(file.tags) or self._opener.tag(context, number, chunk) != file.tags[number]:
            raise IntegrityError(
                f"{file.name}{ENCRYPTED} is damaged",
                f"bytes from {number * file.chunk_bytes} on in {self.where} are not those that were uploaded",
                "use another backup; `pgkeeper list` shows them",
            )

    @cached_property
    def _opener(self) -> Opener:
        return self._keys.opener(self.header.method, self.header.key_id)

    def _ciphertext(self, file: EncryptedFile) -> Iterator[bytes]:
        return stream(self.bucket, self._key(file.name + ENCRYPTED), file.size, lambda number, chunk: self.check_chunk(file, number, chunk))

    def _file(self, name: str) -> EncryptedFile:
        for file in self.header.files:
            if file.name == name:
                return file
        raise IntegrityError(f"the copy of backup {self.backup_id} is not whole", f"its header lists no {name}")

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _all_of(self, name: str, most: int) -> bytes:
        """Return a small object. Raises IntegrityError as soon as it has more than `most` bytes, and ObjectGoneError."""
        what = f"{name} of backup {self.backup_id} in {self.bucket.name}"
        return b"".join(bounded(self.bucket.read(self._key(name)), most, what))

    def _record(self, name: str) -> bytes | None:
        if name not in self._records:
            return None
        try:
            return self._all_of(name, RECORD_BYTES)
        except ObjectGoneError:
            return None

    def _keep_record(self, name: str, content: bytes) -> None:
        if self._writable:
            self.bucket.put(self._key(name), content)
            self._records.add(name)

    def _drop_record(self, name: str) -> None:
        if self._writable and name in self._records:
            if self._may_delete:
                self.bucket.delete(self._key(name))
            else:
                self._empty_record(name)
            self._records.discard(name)

    def _empty_record(self, name: str) -> None:
        try:
            self.bucket.put(self._key(name), b"")
        except BucketRefusedError as error:
            # Google takes writing over an object for deleting it. What is damaged is damaged all the same.
            log.warning("a record that does not hold any more stays", where=self.where, record=name, error=str(error))

    def _may_have_record(self, name: str) -> bool:
        return name in self._records


class FetchedCopy(CloudCopy):
    """A copy whose ciphertext lies in a directory of this host."""

    def __init__(self, copy: CloudCopy, place: Path) -> None:
        self.__dict__.update(copy.__dict__)
        self._place = place

    def _ciphertext(self, file: EncryptedFile) -> Iterator[bytes]:
        path = self._place / (file.name + ENCRYPTED)
        number = 0
        try:
            with path.open("rb", buffering=0) as content:
                while chunk := content.read(file.chunk_bytes):
                    self.check_chunk(file, number, chunk)
                    yield chunk
                    number += 1
                    # Else there are two while the next one is read.
                    del chunk
        except OSError as error:
            raise IntegrityError(f"{path.name} is damaged", f"reading {path}: {error.strerror}") from error
        if number != len(file.tags):
            raise IntegrityError(f"{path.name} is damaged", f"{path} ends too early")


def _in_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in smaller blocks: what is decrypted and decompressed of one is in memory several times over."""
    for chunk in chunks:
        whole = memoryview(chunk)
        for start in range(0, len(whole), BLOCK):
            yield bytes(whole[start : start + BLOCK])
        del chunk, whole


class KeyRingSealing(Sealing):
    """Seals records with the keys that copies are encrypted with, so that they are believed on every host that has them."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def close(self, label: str, document: Mapping[str, object]) -> bytes:
        """Seal with the key of new copies."""
        return self._keys.sealer().seal(label, document)

    def open(self, label: str, content: bytes) -> dict[str, object]:
        """Open with any of our keys."""
        return self._keys.open(label, content)
