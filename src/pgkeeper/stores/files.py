"""Files that are whole or not there: written, hashed on the way, fsynced, read back."""

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from isal import igzip_threaded, isal_zlib
from typing_extensions import Buffer

from pgkeeper.model.errors import IntegrityError, UncheckedError
from pgkeeper.model.manifest import FileEntry

BLOCK = 1 << 20
OURS = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of reading that come from the host or its settings, and say nothing about a file's content."""
_LEVEL = 1
_THREADS = 2
# isal declares no types.
_open_gzip: Callable[..., Any] = igzip_threaded.open
_DeflateError = cast("type[Exception]", isal_zlib.error)


class HashingFile:
    """A file being written whose size and SHA-256 are known at its end."""

    def __init__(self, path: Path) -> None:
        """Create `path` (mode 0600); it must not exist."""
        self._path = path
        # Buffered, because isal writes its header while it is being made, and cannot cope with an error then.
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=BLOCK)
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> int:
        """Write all of `data`. Raises OSError as the system gives it (no space, I/O error), maybe at a later call."""
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: `finish` sees to it that everything is on disk."""

    def finish(self) -> FileEntry:
        """Fsync, close, and return what was written. Raises OSError when not all of it could be."""
        self._file.flush()
        os.fsync(self._file.fileno())
        # What is read back must come from the disk, not from the page cache.
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.close()
        return FileEntry(name=self._path.name, size=self._size, sha256=self._digest.hexdigest())

    def close(self) -> None:
        """Close without any promise."""
        with suppress(OSError):
            self._file.close()


@contextmanager
def gzip_writer(target: HashingFile) -> Iterator[IO[bytes]]:
    """Yield a stream whose content lands in `target` as one gzip member, compressed by several threads.

    On error the compressor's threads are ended and the error of the block is the one that is seen.
    """
    stream = cast("IO[bytes]", _open_gzip(target, "wb", compresslevel=_LEVEL, threads=_THREADS, block_size=BLOCK))
    try:
        yield stream
    except BaseException:
        with suppress(Exception):
            stream.close()
        raise
    stream.close()


def write_file(path: Path, chunks: Iterable[bytes]) -> FileEntry:
    """Write `chunks` to a new file and return its entry. On error the file is closed and left to whoever cleans the directory."""
    target = HashingFile(path)
    try:
        for chunk in chunks:
            target.write(chunk)
        return target.finish()
    finally:
        target.close()


def write_gzip(path: Path, chunks: Iterable[bytes]) -> FileEntry:
    """Write `chunks` compressed to a new file and return its entry."""
    target = HashingFile(path)
    try:
        with gzip_writer(target) as stream:
            for chunk in chunks:
                stream.write(chunk)
        return target.finish()
    finally:
        target.close()


def checked(blocks: Iterable[bytes], entry: FileEntry) -> Iterator[bytes]:
    """Pass on a file's bytes.

    Raises IntegrityError at the end (or as soon as there are too many) when size or SHA-256 are not the promised ones.
    """
    digest = hashlib.sha256()
    size = 0
    what = f"{entry.name} is damaged"
    for block in blocks:
        size += len(block)
        if size > entry.size:
            break
        digest.update(block)
        yield block
    if size != entry.size:
        raise IntegrityError(what, f"it has {'more than ' if size > entry.size else ''}{size} bytes, promised are {entry.size}")
    if digest.hexdigest() != entry.sha256:
        raise IntegrityError(what, "its SHA-256 differs from the manifest's")


def read_checked(path: Path, entry: FileEntry) -> Iterator[bytes]:
    """Yield a file's bytes in blocks of at most 1 MiB, checked as by `checked`.

    Raises IntegrityError, also when the file is missing or the disk does not give it, UncheckedError where the host does not let us.
    """
    return checked(_blocks(path, entry), entry)


def _blocks(path: Path, entry: FileEntry) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                yield block
    except FileNotFoundError:
        raise IntegrityError(f"{entry.name} is missing", f"{path} is not there") from None
    except OSError as error:
        why = f"reading {path}: {error.strerror}"
        if error.errno in OURS:
            raise UncheckedError(f"{entry.name} cannot be read", why, "this says nothing about its content") from error
        raise IntegrityError(f"{entry.name} is damaged", why) from error


def gunzip(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the decompressed content of a file's bytes, which raise when they are not what was promised. A thread decompresses.

    Raises IntegrityError for what does not decompress, and whatever `blocks` raises, at the latest after the last chunk.
    """
    source = _Pulled(blocks)
    try:
        with _open_gzip(source, "rb", threads=1, block_size=BLOCK) as stream:
            while chunk := stream.read(BLOCK):
                yield chunk
    except (OSError, EOFError, _DeflateError) as error:
        source.drain()
        raise IntegrityError(f"{name} is damaged", f"it does not decompress: {error}") from error
    source.drain()


def read_gzip(path: Path, entry: FileEntry) -> Iterator[bytes]:
    """Yield the decompressed content of a file, checking the compressed bytes on the way.

    Raises IntegrityError for a damaged, shortened or lengthened file, at the latest after the last chunk.
    """
    return gunzip(read_checked(path, entry), entry.name)


class _Pulled(io.RawIOBase):
    """A readable file over an iterator of blocks."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, target: Buffer) -> int:
        """Fill `target` as far as the current block reaches; 0 at the end."""
        room = memoryview(target).cast("B")
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        size = min(len(room), len(self._rest))
        room[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def drain(self) -> None:
        """Read on to the end, so that the checks at the end are made."""
        for _ in self._blocks:
            pass
