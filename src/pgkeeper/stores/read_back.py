"""A compressed file that is read back from the disk while it is being written, so that little is left to do at its end."""

import gzip
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from isal import igzip, isal_zlib
from typing_extensions import Buffer

from pgkeeper.host.beside import Beside
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import FileEntry
from pgkeeper.stores.files import BLOCK

# A piece of the page cache that lies across the end of a step would not be dropped with it. Pieces are at most 2 MiB and begin at multiples
# of their size, so none lies across a multiple of 16 MiB.
STEP = 16 << 20
# isal declares no types.
_open_gzip: Callable[..., Any] = igzip.open
_DeflateError = cast("type[Exception]", isal_zlib.error)


class ReadBack:
    """Reads a gzip file back in a thread of its own while it is being written, until the block ends.

    Every byte is read after it was made durable and dropped from the page cache, then hashed and decompressed. Damage that ends the
    decompression is noticed while the file still grows, any other at its end. Neither the file's size nor its content's changes what memory
    this takes.
    """

    def __init__(self, path: Path) -> None:
        """Follow the file that will be at `path`; it need not be there yet."""
        self._path = path
        self._growth = _Growth()
        self._work = Beside(self._read, self._growth.give_up)

    def follow(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on what is written to the file, and look after each chunk how far the file has grown.

        Raises IntegrityError when the file does not read back, OSError when it cannot be made durable.
        """
        for chunk in chunks:
            yield chunk
            self._work.check()
            # What is still in the writer's buffers does not count yet.
            self._growth.reached(self._path.stat().st_size // STEP * STEP)

    def complete(self, entry: FileEntry) -> None:
        """Let the rest be read: the file is whole and durable, and should be what `entry` says."""
        self._growth.complete(entry)

    def size(self) -> int:
        """Wait until a complete file is read back, and return the bytes that it decompresses to.

        Raises IntegrityError when it does not read back, or is not what was promised.
        """
        return self._work.result()

    def __enter__(self) -> Self:
        """Begin to wait for the file."""
        self._work.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        """Wait until the file is read back, or give it up when the block failed."""
        self._work.__exit__(kind, value, traceback)

    def _read(self) -> int:
        self._growth.beyond(0)
        size = 0
        try:
            with _opened(self._path) as file, _open_gzip(_OnDisk(file, self._path, self._growth), "rb") as stream:
                while content := stream.read(BLOCK):
                    size += len(content)
        except (gzip.BadGzipFile, EOFError, _DeflateError) as error:
            raise _damage(self._path, f"it does not decompress: {error}") from error
        return size


class _GivenUpError(Exception):
    """Nobody wants the file any more."""


class _Growth:
    """How far the file has grown, told by the thread that writes to the one that reads."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._size = 0
        self._given_up = False
        self.entry: FileEntry | None = None

    def reached(self, size: int) -> None:
        """Tell that this much is in the file."""
        if size > self._size:
            with self._news:
                self._size = size
                self._news.notify()

    def complete(self, entry: FileEntry) -> None:
        """Tell that the file has come to its end, and what it should be."""
        with self._news:
            self._size, self.entry = entry.size, entry
            self._news.notify()

    def give_up(self) -> None:
        """End the reading."""
        with self._news:
            self._given_up = True
            self._news.notify()

    def require_wanted(self) -> None:
        """Raise when the reading is to end."""
        if self._given_up:
            raise _GivenUpError

    def beyond(self, position: int) -> int:
        """Wait until the file goes beyond `position`, or is complete, and return how far it goes."""
        with self._news:
            self._news.wait_for(lambda: self._given_up or self.entry is not None or self._size > position)
            self.require_wanted()
            return self._size


class _OnDisk(io.RawIOBase):
    """A growing file as one reads it who waits for every byte, and takes none from the page cache."""

    def __init__(self, file: io.FileIO, path: Path, growth: _Growth) -> None:
        super().__init__()
        self._file = file
        self._path = path
        self._growth = growth
        self._digest = hashlib.sha256()
        self._position = 0
        self._end = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, target: Buffer) -> int:
        """Read what there is and `target` can hold, at least one byte; 0 at the end of a file that is what it should be."""
        self._growth.require_wanted()
        if self._position == self._end and not self._advance():
            return 0
        try:
            count = self._file.readinto(memoryview(target).cast("B")[: self._end - self._position])
        except OSError as error:
            raise _damage(self._path, f"reading {self._path}: {error.strerror}") from error
        if not count:
            raise _damage(self._path, f"it ends after {self._position} bytes, at least {self._end} were written")
        self._digest.update(memoryview(target).cast("B")[:count])
        self._position += count
        return count

    def _advance(self) -> bool:
        """Get the next bytes out of the page cache; tells whether there are any."""
        self._end = self._growth.beyond(self._position)
        if self._position == self._end:
            self._require_whole()
            return False
        os.fdatasync(self._file.fileno())
        os.posix_fadvise(self._file.fileno(), self._position, self._end - self._position, os.POSIX_FADV_DONTNEED)
        return True

    def _require_whole(self) -> None:
        entry = self._growth.entry
        assert entry is not None
        size = os.fstat(self._file.fileno()).st_size
        if size != entry.size:
            raise _damage(self._path, f"it has {size} bytes, {entry.size} were written")
        if self._digest.hexdigest() != entry.sha256:
            raise _damage(self._path, "its SHA-256 is not that of what was written")


def _opened(path: Path) -> io.FileIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise _damage(path, f"opening {path}: {error.strerror}") from error


def _damage(path: Path, why: str) -> IntegrityError:
    return IntegrityError(f"{path.name} does not read back", why)
