"""Fetching an object in pieces that are checked one by one, a few of them at once."""

import errno
import io
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

from pgkeeper.crypto.envelope import CHUNK
from pgkeeper.host.durable import fsync_directory
from pgkeeper.model.errors import IntegrityError, OperationFailed
from pgkeeper.stores.aside import aside
from pgkeeper.stores.bucket import Bucket

_AT_ONCE = 4
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Check = Callable[[int, bytes], None]


class _StoppedError(Exception):
    """Nobody wants the rest."""


def stream(bucket: Bucket, key: str, size: int, check: Check) -> Iterator[bytes]:
    """Yield an object of `size` bytes in order, in chunks of 8 MiB, the last one shorter.

    `check` gets each chunk with its number (from 0) before it is yielded, and raises IntegrityError for one that is not right; that one is
    fetched once more. Four chunks are fetched at a time. Raises what the bucket raises.
    """
    for _number, chunk in _fetched(bucket, key, size, range(_count(size)), check):
        yield chunk


def download(bucket: Bucket, key: str, size: int, path: Path, check: Check, progress: Callable[[int], None] = lambda _done: None) -> None:
    """Write an object of `size` bytes to the file `path` (mode 0600), durable on return; `check` as for `stream`.

    Chunks that an earlier, interrupted call has left in the file are kept where `check` accepts them. `progress` is told how many bytes are
    there. Raises OperationFailed when the disk is full or the file can't be written, and what the bucket raises; what is in the file then
    stays, for another try.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.fchmod(file, 0o600)
            if os.fstat(file).st_size > size:
                os.ftruncate(file, size)
            _complete(bucket, key, size, file, check, progress)
            os.fsync(file)
        finally:
            os.close(file)
        fsync_directory(path.parent)
    except OSError as error:
        hint = f"make room for {size} bytes, then run it again: what is there is kept" if error.errno in _NO_ROOM else ""
        raise OperationFailed(f"cannot write {path}", error.strerror or str(error), hint) from error


def _complete(bucket: Bucket, key: str, size: int, file: int, check: Check, progress: Callable[[int], None]) -> None:
    """Write the chunks that the file lacks."""
    missing = [number for number in range(_count(size)) if not _holds(file, number, size, check)]
    done = size - sum(_length(number, size) for number in missing)
    progress(done)
    for number, chunk in _fetched(bucket, key, size, missing, check):
        written = 0
        while written < len(chunk):
            written += os.pwrite(file, memoryview(chunk)[written:], number * CHUNK + written)
        done += len(chunk)
        progress(done)


def _holds(file: int, number: int, size: int, check: Check) -> bool:
    chunk = os.pread(file, _length(number, size), number * CHUNK)
    if len(chunk) < _length(number, size):
        return False
    try:
        check(number, chunk)
    except IntegrityError:
        return False
    return True


def _fetched(bucket: Bucket, key: str, size: int, numbers: Iterable[int], check: Check) -> Iterator[tuple[int, bytes]]:
    """Yield the chunks of these numbers, in their order, checked."""
    stopped = threading.Event()
    waiting = iter(numbers)
    flying: deque[tuple[int, Future[bytes]]] = deque()

    def take_off() -> None:
        number = next(waiting, None)
        if number is not None:
            flying.append((number, aside(lambda: _fetch(bucket, key, size, number, stopped))))

    try:
        for _ in range(_AT_ONCE):
            take_off()
        while flying:
            number, future = flying.popleft()
            chunk = future.result()
            try:
                check(number, chunk)
            except IntegrityError:
                # Maybe it was damaged on its way only.
                chunk = _fetch(bucket, key, size, number, stopped)
                check(number, chunk)
            del future
            yield number, chunk
            take_off()
    finally:
        stopped.set()


def _fetch(bucket: Bucket, key: str, size: int, number: int, stopped: threading.Event) -> bytes:
    start = number * CHUNK
    # Its value is what was written itself, and no copy.
    content = io.BytesIO()
    for piece in bucket.read(key, start, start + _length(number, size)):
        if stopped.is_set():
            raise _StoppedError
        content.write(piece)
    return content.getvalue()


def _count(size: int) -> int:
    return -(-size // CHUNK)


def _length(number: int, size: int) -> int:
    return min(CHUNK, size - number * CHUNK)
