"""Fetching a copy's ciphertext into a directory of this host, so that it can be read again and again."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pgkeeper.model import more_room
from pgkeeper.model.copy import ENCRYPTED, CopyHeader, EncryptedFile
from pgkeeper.model.errors import BusyError, IntegrityError, OperationFailed
from pgkeeper.model.names import short_name
from pgkeeper.model.progress import Progress
from pgkeeper.model.sizes import format_size
from pgkeeper.stores.bucket import Bucket
from pgkeeper.stores.download import download

CheckChunk = Callable[[EncryptedFile, int, bytes], None]
_RESERVE = 64 << 20
_STALE_SECONDS = 48 * 3600


@contextmanager
def fetched(directory: Path, bucket: Bucket, folder: str, header: CopyHeader, check: CheckChunk, progress: Progress) -> Iterator[Path]:
    """Yield a place in `directory` that holds a copy's encrypted files.

    What an interrupted run fetched is kept there and used by the next; what nobody came back for within two days is removed. Raises
    BusyError (exit status 5) while somebody else fetches the same copy, OperationFailed where there is no room, IntegrityError.
    """
    place = directory / short_name(f"{bucket.name}/{folder}")
    descriptor = _enter(place)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"backup {header.backup_id} is being fetched already", f"somebody works in {place}", "wait for it") from None
        clear_stale(directory)
        try:
            _fetch(place, bucket, folder, header, check, progress)
            yield place
        except IntegrityError:
            # What is wrong there will not get better.
            _remove(place)
            raise
        _remove(place)
    finally:
        os.close(descriptor)


def _enter(place: Path) -> int:
    while True:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            # Somebody has just finished, and removed the directory with what was his.
            continue
        except OSError as error:
            hint = "BACKUP_DIR must belong to postgres and have space"
            raise OperationFailed(f"cannot create {place}", error.strerror or "", hint) from error


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):
        place.parent.rmdir()


def clear_stale(directory: Path) -> None:
    """Remove what interrupted runs fetched, and nobody came back for within two days."""
    for place in directory.iterdir() if directory.is_dir() else ():
        with suppress(OSError):
            if place.stat().st_mtime > time.time() - _STALE_SECONDS:
                continue
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(place)
            finally:
                os.close(descriptor)


def _fetch(place: Path, bucket: Bucket, folder: str, header: CopyHeader, check: CheckChunk, progress: Progress) -> None:
    _require_room(place, header)
    progress.phase(f"fetch {header.backup_id}")
    done = 0
    for file in header.files:
        name = file.name + ENCRYPTED

        def checked(number: int, chunk: bytes, file: EncryptedFile = file) -> None:
            check(file, number, chunk)

        def advanced(sofar: int, before: int = done) -> None:
            progress.advance(before + sofar, header.size_bytes)

        download(bucket, f"{folder}/{name}", file.size, place / name, checked, advanced)
        done += file.size


def _require_room(place: Path, header: CopyHeader) -> None:
    have = sum(file.stat().st_blocks * 512 for file in place.iterdir())
    free = shutil.disk_usage(place).free
    if free + have < header.size_bytes + _RESERVE:
        raise OperationFailed(
            f"there is too little space to fetch backup {header.backup_id}",
            f"it takes {format_size(header.size_bytes)}, {place.parent} has {format_size(free)} free",
            more_room.FOR_BACKUPS,
        )
