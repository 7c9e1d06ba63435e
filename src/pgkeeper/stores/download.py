"""Downloading one object: in pieces, several at once, each checked before anybody uses it, going on where an earlier try was cut off."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pgkeeper.crypto.envelope import CHUNK
from pgkeeper.model.errors import IntegrityError, OperationFailed
from pgkeeper.stores.bucket import Bucket

Check = Callable[[int, bytes], None]
"""Raises IntegrityError unless the bytes are piece so-and-so (from 0) of the object. Is called in several threads."""
_AT_ONCE = 3


def stream(bucket: Bucket, key: str, size: int, check: Check) -> Iterator[bytes]:
    """Yield an object of `size` bytes in its order, in pieces of 8 MiB, the last being shorter; a few are fetched ahead.

    A piece that does not pass `check` is read once more, since it may have been hurt on its way. Raises IntegrityError when it fails again,
    or the object is not that large, and what `Bucket.read` raises.
    """
    for _number, chunk in _fetched(bucket, key, size, check, range(_count(size))):
        yield chunk


def download(bucket: Bucket, key: str, size: int, path: Path, check: Check, progress: Callable[[int], None]) -> None:
    """Fetch an object of `size` bytes into the file `path` (mode 0600), durably.

    Pieces that are there from an earlier try and pass `check` are not fetched again. `progress` is told how many bytes are there. Raises
    what `stream` raises, and OperationFailed when the file can't be written; what was fetched stays for the next try.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            file.truncate(min(size, file.seek(0, os.SEEK_END)))
            missing = [number for number in range(_count(size)) if not _passes(file.fileno(), number, size, check)]
            done = size - sum(_length(number, size) for number in missing)
            progress(done)
            for number, chunk in _fetched(bucket, key, size, check, missing):
                _write(file.fileno(), chunk, number * CHUNK)
                done += len(chunk)
                progress(done)
            os.fsync(file.fileno())
    except OSError as error:
        raise OperationFailed(f"cannot write {path}", error.strerror or "", "free some space, then try again: it goes on there") from error


def _fetched(bucket: Bucket, key: str, size: int, check: Check, numbers: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces `numbers` with their numbers, in that order."""
    stopped = threading.Event()
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    left = iter(numbers)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            while True:
                while len(waiting) < _AT_ONCE and (number := next(left, None)) is not None:
                    waiting.append((number, pool.submit(_fetch, bucket, key, number, size, check, stopped)))
                if not waiting:
                    return
                number, future = waiting.popleft()
                yield number, future.result()
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _fetch(bucket: Bucket, key: str, number: int, size: int, check: Check, stopped: threading.Event) -> bytes:
    try:
        return _read(bucket, key, number, size, check, stopped)
    except IntegrityError:
        return _read(bucket, key, number, size, check, stopped)


def _read(bucket: Bucket, key: str, number: int, size: int, check: Check, stopped: threading.Event) -> bytes:
    start = number * CHUNK
    pieces = []
    for piece in bucket.read(key, start, start + _length(number, size)):
        if stopped.is_set():
            return b""
        pieces.append(piece)
    chunk = b"".join(pieces)
    check(number, chunk)
    return chunk


def _passes(descriptor: int, number: int, size: int, check: Check) -> bool:
    chunk = os.pread(descriptor, _length(number, size), number * CHUNK)
    if len(chunk) != _length(number, size):
        return False
    try:
        check(number, chunk)
    except IntegrityError:
        return False
    return True


def _write(descriptor: int, chunk: bytes, position: int) -> None:
    rest = memoryview(chunk)
    while rest:
        count = os.pwrite(descriptor, rest, position)
        rest, position = rest[count:], position + count


def _count(size: int) -> int:
    return -(-size // CHUNK)


def _length(number: int, size: int) -> int:
    return min(CHUNK, size - number * CHUNK)
