"""Sending one backup to a bucket: encrypted on the way, resumed where an earlier try was cut off, its header last.

A copy that is sent again lies in the place of the old one, and a bucket exchanges one object at a time. So the old copy is recorded as
damaged before the first of its objects is replaced, and stays so until the new header replaces the old one. Nothing is removed before.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pgkeeper import __version__
from pgkeeper.crypto.envelope import CHUNK, Sealer
from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.copy import ENCRYPTED, HEADER_FILE, LABEL, CopyHeader, EncryptedFile, tag_context
from pgkeeper.model.errors import IntegrityError, RefusedError
from pgkeeper.model.ledger import objects_of
from pgkeeper.model.manifest import FileEntry, Manifest
from pgkeeper.model.names import short_name
from pgkeeper.model.progress import Progress
from pgkeeper.stores.bucket import ObjectGoneError
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.cloud_copy import CloudCopy
from pgkeeper.stores.copy import RECORDS
from pgkeeper.stores.local_copy import LocalCopy
from pgkeeper.stores.upload import Limits, UploadState, upload_within

FOREIGN_HINT = (
    "does a clone of this machine copy its backups there, or is this the clone? Set BACKUP_CLOUD_ENABLED=false on the clone, then"
    " `pgkeeper sync --adopt` takes the copies for this host's"
)
_BEGINNING = 64


class _OnItsWay(BaseModel):
    """What is remembered of a copy that is being sent. `salt` is that of the file `name`, which is under way as `upload`.

    `replaces` is the SHA-256 of the header of the copy whose place it takes, "" where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    key_id: str
    replaces: str = ""
    done: tuple[EncryptedFile, ...] = ()
    name: str = ""
    salt: str = ""
    upload: UploadState | None = None


class ForeignCopyError(RefusedError):
    """A copy of another backup has the name of ours (exit status 6): a clone of this host made one in the same second."""

    def __init__(self, copy: CloudCopy) -> None:
        what = f"backup {copy.backup_id} is not copied to {copy.where}"
        super().__init__(what, "a copy of another backup lies there, which this host did not send", FOREIGN_HINT)


class Sender:
    """Sends backups to one store. `directory` holds what is remembered of copies on their way."""

    def __init__(self, store: CloudStore, directory: Path, limits: Limits) -> None:
        self._store = store
        self._directory = directory
        self._limits = limits

    @property
    def under_way(self) -> frozenset[str]:
        """The folders of copies that an earlier try began to send, and the next may go on with."""
        return frozenset(state.folder for path in self._directory.glob("*.json") if (state := _read(path)) is not None)

    def forget_others(self, wanted: Iterable[LocalCopy]) -> None:
        """Forget what is remembered of copies of other backups than those: they will not be sent any more."""
        names = {self._memory(backup).name for backup in wanted}
        # Also what a killed process was just writing.
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            if path.name not in names:
                path.unlink(missing_ok=True)

    def is_replacing(self, copy: CloudCopy) -> bool:
        """Tell whether an earlier try began to replace this very copy: some of its objects may be the new ones already."""
        state = _read(self._path(copy.folder))
        return state is not None and bool(state.replaces) and state.replaces == _header_hash(copy)

    def send(self, backup: LocalCopy, predecessor: str | None, progress: Progress, again: str = "") -> CloudCopy:
        """Send a backup and return its copy. Whoever calls is the only one who sends to this store, and keeps the backup from removal.

        Nothing counts as a copy before everything of it is there. What is wrong with a copy that is sent `again` is recorded beside it
        first. Raises IntegrityError when the backup is damaged, BucketUnreachableError
        or BucketRefusedError, OSError when what is on its way can't be remembered, and ForeignCopyError where another backup's copy lies in
        the place, and not one that is sent `again`.
        """
        manifest = backup.manifest()
        sealer = self._store.keys.sealer()
        old = self._old_copy(backup)
        replaces = _header_hash(old) if old is not None else ""
        sending = _Sending(self._store, self._memory(backup), backup, manifest, sealer, self._limits, progress, replaces)
        if old is not None and not again and old.header.manifest_sha256 != backup.manifest_sha256():
            raise ForeignCopyError(old)
        if old is not None:
            sending.begin()
            _record_damage(old, again)
        files = sending.files()
        content = backup.manifest_bytes()
        header = CopyHeader(
            backup_id=backup.backup_id,
            host=self._store.host,
            cluster=backup.cluster,
            database=backup.database,
            created_at=backup.created_at,
            predecessor=predecessor,
            made_by=f"pgkeeper {__version__}",
            method=sealer.method,
            key_id=sealer.key_id,
            files=files,
            manifest=base64.b64encode(b"".join(sealer.encrypt([content]))).decode(),
            manifest_sha256=hashlib.sha256(content).hexdigest(),
        )
        folder = self._store.folder(backup.cluster, backup.database, backup.backup_id)
        self._store.bucket.put(f"{folder}/{HEADER_FILE}", sealer.seal(LABEL, header.model_dump(mode="json")))
        copy = self._store.copy(backup.cluster, backup.database, backup.backup_id, objects_of(header, 0))
        copy.require_complete()
        if old is not None:
            # It is bound to the old header, and says nothing about the new one.
            old.forget_checks()
        self._memory(backup).unlink(missing_ok=True)
        return copy

    def _old_copy(self, backup: LocalCopy) -> CloudCopy | None:
        """Return what lies with a header in the place of the copy. Asks for it: a listing may come late."""
        place = (backup.cluster, backup.database, backup.backup_id)
        if self._store.bucket.head(f"{self._store.folder(*place)}/{HEADER_FILE}") is None:
            return None
        try:
            return self._store.copy(*place, (HEADER_FILE, *sorted(RECORDS)))
        except ObjectGoneError:
            return None

    def _memory(self, backup: LocalCopy) -> Path:
        return self._path(self._store.folder(backup.cluster, backup.database, backup.backup_id))

    def _path(self, folder: str) -> Path:
        return self._directory / f"{short_name(folder)}.json"


class _Sending:
    """The files of one backup on their way."""

    def __init__(
        self,
        store: CloudStore,
        memory: Path,
        backup: LocalCopy,
        manifest: Manifest,
        sealer: Sealer,
        limits: Limits,
        progress: Progress,
        replaces: str,
    ) -> None:
        self._bucket = store.bucket
        self._host = store.host
        self._memory = memory
        self._backup = backup
        self._manifest = manifest
        self._sealer = sealer
        self._limits = limits
        self._progress = progress
        self._sent_before = 0
        folder = store.folder(backup.cluster, backup.database, backup.backup_id)
        known = _read(memory)
        fits = known is not None and (known.folder, known.key_id, known.replaces) == (folder, sealer.key_id, replaces)
        self._state = known if known is not None and fits else _OnItsWay(folder=folder, key_id=sealer.key_id, replaces=replaces)

    def begin(self) -> None:
        """Remember that the copy is on its way before anything of it is sent."""
        self._remember(self._state)

    def files(self) -> tuple[EncryptedFile, ...]:
        """Send all files that are not there yet; the small ones first, but for a copy that replaces another.

        There the largest comes first: it takes the time, and until it is whole at the provider nothing of the old copy is replaced.
        """
        self._progress.phase(f"copy {self._backup.backup_id}")
        for entry in sorted(self._manifest.files, key=lambda entry: entry.size, reverse=bool(self._state.replaces)):
            if not self._is_there(entry):
                self._send(entry)
            self._sent_before += entry.size
        order = {entry.name: number for number, entry in enumerate(self._manifest.files)}
        return tuple(sorted(self._state.done, key=lambda file: order[file.name]))

    def _is_there(self, entry: FileEntry) -> bool:
        known = next((file for file in self._state.done if file.name == entry.name), None)
        if known is None:
            return False
        found = self._bucket.head(self._key(entry.name))
        if found is not None and found.size == known.size:
            return True
        self._remember(self._state.model_copy(update={"done": tuple(file for file in self._state.done if file.name != entry.name)}))
        return False

    def _send(self, entry: FileEntry) -> None:
        resumed = self._state.name == entry.name and self._state.salt
        if not resumed:
            self._remember(self._state.model_copy(update={"name": entry.name, "salt": "", "upload": None}))
        chunks: _Chunks

        def cut(size: int) -> Iterator[bytes]:
            nonlocal chunks
            chunks = self._chunks(entry)
            return chunks.parts(size)

        upload_within(
            self._bucket,
            self._key(entry.name),
            # A little more than the plain file: padding, and what age adds.
            entry.size + entry.size // 1000 + CHUNK,
            cut,
            self._limits,
            self._state.upload if resumed else None,
            lambda state: self._remember(self._state.model_copy(update={"upload": state})) if self._state.salt else None,
            lambda sent: self._progress.advance(self._sent_before + sent, self._manifest.size_bytes),
        )
        file = EncryptedFile(name=entry.name, size=chunks.size, chunk_bytes=CHUNK, tags=tuple(chunks.tags))
        self._remember(self._state.model_copy(update={"done": (*self._state.done, file), "name": "", "salt": "", "upload": None}))

    def _chunks(self, entry: FileEntry) -> "_Chunks":
        """Return a file's ciphertext: the same one again as far as something of it was sent, so that its parts fit together."""
        context = tag_context(self._host, self._backup.cluster, self._backup.backup_id, entry.name)
        salt = bytes.fromhex(self._state.salt) if self._state.salt else None
        ciphertext = self._noting_salt(self._sealer.encrypt(self._backup.read(entry), salt))
        return _Chunks(ciphertext, lambda number, chunk: self._sealer.tag(context, number, chunk))

    def _noting_salt(self, ciphertext: Iterator[bytes]) -> Iterator[bytes]:
        beginning = b""
        for block in ciphertext:
            if len(beginning) < _BEGINNING:
                beginning += block[:_BEGINNING]
                salt = self._sealer.salt_of(beginning) if len(beginning) >= _BEGINNING else None
                if salt is not None and not self._state.salt:
                    self._remember(self._state.model_copy(update={"salt": salt.hex()}))
            yield block

    def _key(self, name: str) -> str:
        return f"{self._state.folder}/{name}{ENCRYPTED}"

    def _remember(self, state: _OnItsWay) -> None:
        self._state = state
        self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._memory, state.model_dump_json().encode())


class _Chunks:
    """A ciphertext cut into the pieces that are tagged, and those into parts. `size` and `tags` are known at the end."""

    def __init__(self, ciphertext: Iterable[bytes], tag: Callable[[int, bytes], str]) -> None:
        self.size = 0
        self.tags: list[str] = []
        self._ciphertext = ciphertext
        self._tag = tag

    def parts(self, size: int) -> Iterator[bytes]:
        """Yield parts of `size` bytes, a multiple of the pieces', the last being shorter."""
        part: list[bytes] = []
        for chunk in self._pieces():
            self.tags.append(self._tag(len(self.tags), chunk))
            self.size += len(chunk)
            part.append(chunk)
            if len(part) * CHUNK == size:
                yield b"".join(part)
                part = []
        if part:
            yield b"".join(part)

    def _pieces(self) -> Iterator[bytes]:
        piece: list[memoryview] = []
        room = CHUNK
        for block in self._ciphertext:
            rest = memoryview(block)
            while rest:
                piece.append(rest[:room])
                room -= len(piece[-1])
                rest = rest[len(piece[-1]) :]
                if not room:
                    yield b"".join(piece)
                    piece, room = [], CHUNK
        if piece:
            yield b"".join(piece)


def _header_hash(copy: CloudCopy) -> str:
    """Return the SHA-256 of a copy's header; another word for one that is far too large to be one."""
    try:
        return copy.manifest_sha256()
    except IntegrityError:
        return "unreadable"


def _record_damage(old: CloudCopy, found: str) -> None:
    """Record beside a copy that it is damaged, unless that is known: it is about to become a mixture of two."""
    if not old.known_wrong():
        # A header that is too large to be read needs no record: nobody takes it for one.
        with suppress(IntegrityError):
            old.keep_damage("checksum", found or "it is being sent again", datetime.now(UTC))


def _read(path: Path) -> _OnItsWay | None:
    try:
        return _OnItsWay.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("what was sent of a copy is not known any more", path=str(path), error=type(error).__name__)
        return None
