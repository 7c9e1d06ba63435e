"""A file that is read back while it is written: nothing on the disk is taken for granted, and nobody is left waiting."""

import gzip
import os
import resource
import signal
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import FileEntry
from pgkeeper.stores.files import BLOCK, write_gzip
from pgkeeper.stores.read_back import STEP, ReadBack

EARLY = 5 << 20  # before anything is read back
TRIES = 6000


def random_blocks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield os.urandom(BLOCK)


def until_it_is_noticed() -> Iterator[bytes]:
    """Write enough to be read back, then nothing more, until whoever looks between two chunks hears of an error."""
    yield from random_blocks(STEP // BLOCK + 4)
    pause = threading.Event()
    for _ in range(TRIES):
        pause.wait(0.01)
        yield b""
    raise AssertionError("nobody noticed while the file was being written")


def at(size: int, path: Path, harm: Callable[[Path], None], chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass chunks on; as soon as so much of the file is written, something happens to it."""
    for chunk in chunks:
        yield chunk
        if path.stat().st_size >= size:
            break
    harm(path)
    yield from chunks


def flip(path: Path, position: int) -> None:
    with path.open("r+b", buffering=0) as file:
        byte = os.pread(file.fileno(), 1, position)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), position)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def written_and_read_back(path: Path, chunks: Iterator[bytes], harm: Callable[[Path], None] = lambda _path: None) -> tuple[FileEntry, int]:
    """Write a file with a follower; `harm` is done to it when it is whole, before its end is read back."""
    with ReadBack(path) as read_back:
        entry = write_gzip(path, read_back.follow(chunks))
        harm(path)
        read_back.complete(entry)
        return entry, read_back.size()


@pytest.mark.parametrize("blocks", [0, 1, 15, 16, 17, 40])
def test_what_went_in_is_what_is_counted(tmp_path: Path, blocks: int) -> None:
    path = tmp_path / "x.gz"
    entry, size = written_and_read_back(path, random_blocks(blocks))
    assert size == blocks * BLOCK == len(gzip.decompress(path.read_bytes()))
    assert entry.size == path.stat().st_size


def test_every_byte_comes_from_the_disk_and_not_from_the_page_cache() -> None:
    # Where pytest has its directories may be in memory.
    with TemporaryDirectory(dir="/var/tmp") as place:
        before = read_from_disk()
        entry, _size = written_and_read_back(Path(place, "x.gz"), random_blocks(40))
        assert read_from_disk() - before >= entry.size > 2 * STEP


def read_from_disk() -> int:
    """Bytes that this process has had the disk read so far."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["read_bytes"])


@pytest.mark.parametrize(
    "harm",
    [lambda path: flip(path, 0), lambda path: flip(path, 1 << 20), lambda path: os.truncate(path, 1 << 20)],
    ids=["at the beginning", "in the middle", "cut, then written on behind a hole"],
)
def test_damage_while_it_is_being_written_is_noticed(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "x.gz"
    with pytest.raises(IntegrityError, match=r"x\.gz does not read back"):
        written_and_read_back(path, at(EARLY, path, harm, random_blocks(40)))


@pytest.mark.parametrize("harm", [lambda path: flip(path, 0), Path.unlink], ids=["no gzip file", "no file"])
def test_whoever_writes_hears_of_it_at_once(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "x.gz"
    with pytest.raises((IntegrityError, FileNotFoundError)):
        written_and_read_back(path, at(EARLY, path, harm, until_it_is_noticed()))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: flip(path, path.stat().st_size - 1), "decompress"),
        (lambda path: flip(path, path.stat().st_size - 9), "."),
        (lambda path: os.truncate(path, path.stat().st_size - 1), "ends after"),
        (lambda path: os.truncate(path, 0), "ends after"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "were written"),
        (lambda path: path.write_bytes(gzip.compress(b"")), "ends after"),
    ],
    ids=["last byte", "before the trailer", "one byte short", "empty", "one byte longer", "another gzip file"],
)
@pytest.mark.parametrize("blocks", [1, 20])
def test_damage_at_its_end_is_noticed(tmp_path: Path, blocks: int, harm: Callable[[Path], None], words: str) -> None:
    with pytest.raises(IntegrityError, match=r"x\.gz does not read back") as caught:
        written_and_read_back(tmp_path / "x.gz", random_blocks(blocks), harm)
    assert words == "." or words in caught.value.info.why


def test_a_file_that_decompresses_but_is_another_one_is_noticed(tmp_path: Path) -> None:
    content = gzip.compress(b"one and the same content")
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as caught, ReadBack(path) as read_back:
        read_back.complete(FileEntry(name="x.gz", size=len(content), sha256="0" * 64))
    assert "SHA-256" in caught.value.info.why


def test_an_error_of_the_source_is_the_one_that_is_seen_and_ends_the_reading(tmp_path: Path) -> None:
    def failing(blocks: int) -> Iterator[bytes]:
        yield from random_blocks(blocks)
        raise RuntimeError("the source failed")

    for blocks in (0, 1, 20):
        path = tmp_path / f"{blocks}.gz"
        with pytest.raises(RuntimeError, match="the source failed"):
            written_and_read_back(path, failing(blocks))


def test_a_file_that_never_begins_leaves_nobody_waiting(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ReadBack(tmp_path / "x.gz"):
        raise KeyboardInterrupt


def test_an_error_of_writing_is_the_one_that_is_seen(tmp_path: Path) -> None:
    with no_file_larger_than(STEP + BLOCK), pytest.raises(OSError, match="File too large"):
        written_and_read_back(tmp_path / "x.gz", random_blocks(40))


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_cannot_keep_it_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.gz"
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space left"):
        written_and_read_back(path, until_it_is_noticed())


def test_content_that_compresses_a_thousandfold_needs_no_more_memory(tmp_path: Path) -> None:
    zeros = bytes(BLOCK)
    tracemalloc.start()
    try:
        _entry, size = written_and_read_back(tmp_path / "x.gz", (zeros for _ in range(300)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 300 * BLOCK
    assert peak < 64 * BLOCK
