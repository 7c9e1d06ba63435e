"""Downloads that are checked piece by piece, and keep what is there already."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from pgkeeper.model.errors import IntegrityError, OperationFailed
from pgkeeper.stores import download as downloads
from pgkeeper.stores.bucket import Bucket
from pgkeeper.stores.download import download, stream
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.s3 import S3Bucket
from tests.integration.support.faulty_http import LASTING, Fault, Faulty, flipped_at, method
from tests.integration.support.http_proxy import HttpProxy, Request, http_proxy
from tests.integration.support.object_storage import bucket_settings, make_bucket
from tests.integration.support.waiting import wait_until

CHUNK = 64 << 10
PATIENCE = Patience(seconds=1, first_pause=0.01, longest_pause=0.05)


class Source:
    """An object of ten chunks, the last one shorter, and the line to it."""

    def __init__(self, bucket: S3Bucket, proxy: HttpProxy, faults: Faulty) -> None:
        self.bucket = bucket
        self.proxy = proxy
        self.faults = faults.faults
        self.content = os.urandom(9 * CHUNK + 5)
        self.size = len(self.content)
        bucket.put("x", self.content)

    def check(self, number: int, chunk: bytes) -> None:
        if hashlib.sha256(chunk).digest() != hashlib.sha256(self.chunk(number)).digest():
            raise IntegrityError(f"chunk {number} is damaged")

    def chunk(self, number: int) -> bytes:
        return self.content[number * CHUNK : (number + 1) * CHUNK]

    def fetched(self) -> list[int]:
        """The numbers of the chunks that were asked for since this was last asked."""
        found = [chunk_of(one) for one in self.proxy.requests if one.method == "GET"]
        self.proxy.requests.clear()
        return sorted(found)

    def download(self, path: Path) -> None:
        download(self.bucket, "x", self.size, path, self.check)
        assert path.read_bytes() == self.content


def chunk_of(request: Request) -> int:
    return int(request.headers["range"].removeprefix("bytes=").split("-")[0]) // CHUNK


@pytest.fixture
def source(storage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setattr(downloads, "CHUNK", CHUNK)
    faults = Faulty()
    with http_proxy(storage, faults) as proxy:
        yield Source(S3Bucket(bucket_settings(proxy.url, make_bucket(storage)), PATIENCE), proxy, faults)


def test_an_object_comes_in_order_and_checked(source: Source) -> None:
    checked: list[int] = []

    def check(number: int, chunk: bytes) -> None:
        source.check(number, chunk)
        checked.append(number)

    for number, chunk in enumerate(stream(source.bucket, "x", source.size, check)):
        assert chunk == source.chunk(number)
        assert checked == list(range(number + 1))
    assert checked == list(range(10))
    assert source.fetched() == list(range(10))


def test_nothing_is_fetched_of_an_empty_object(source: Source) -> None:
    assert not list(stream(source.bucket, "x", 0, source.check))
    assert not source.fetched()


def test_a_chunk_that_was_damaged_on_its_way_is_fetched_again(source: Source) -> None:
    source.faults.append(Fault(lambda request: request.method == "GET" and chunk_of(request) == 3, changes_answer=flipped_at(9)))
    assert b"".join(stream(source.bucket, "x", source.size, source.check)) == source.content
    assert source.fetched() == sorted([*range(10), 3])


def test_a_chunk_that_is_damaged_is_never_given_away(source: Source, tmp_path: Path) -> None:
    damage = Fault(lambda request: request.method == "GET" and chunk_of(request) == 3, times=LASTING, changes_answer=flipped_at(9))
    source.faults.append(damage)
    given: list[bytes] = []
    with pytest.raises(IntegrityError, match="chunk 3 is damaged"):
        given.extend(stream(source.bucket, "x", source.size, source.check))
    assert b"".join(given) in {b"", source.content[: 3 * CHUNK]}
    with pytest.raises(IntegrityError, match="chunk 3 is damaged"):
        source.download(tmp_path / "x")


def test_an_object_that_is_too_short_or_not_there_is_noticed(source: Source) -> None:
    with pytest.raises(IntegrityError):
        list(stream(source.bucket, "x", source.size + 1, lambda _number, _chunk: None))
    with pytest.raises(IntegrityError, match="it is not there"):
        list(stream(source.bucket, "y", 1, lambda _number, _chunk: None))


def test_only_a_few_chunks_are_fetched_ahead(source: Source) -> None:
    chunks = stream(source.bucket, "x", source.size, source.check)
    next(chunks)
    wait_until(lambda: len(source.proxy.requests) >= 5, "four chunks")  # and the writing
    assert source.fetched() == [0, 1, 2, 3]
    next(chunks)
    wait_until(lambda: source.proxy.requests, "one more")
    assert source.fetched() == [4]
    chunks.close()  # type: ignore[attr-defined]
    wait_until(lambda: threading.active_count() <= 12, "the end of the threads")
    assert not source.fetched()


def test_whoever_wants_no_more_ends_what_is_being_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_AT_ONCE", 2)
    asked, goes_on = threading.Event(), threading.Event()
    pieces: list[int] = []

    class Slow:
        """A bucket whose second chunk comes when it may."""

        def read(self, _key: str, start: int, end: int) -> Iterator[bytes]:
            if start:
                asked.set()
                goes_on.wait(10)
            for _ in range(8):
                pieces.append(start)
                yield bytes((end - start) // 8)

    before = set(threading.enumerate())
    chunks = stream(cast("Bucket", Slow()), "x", 16 << 20, lambda _number, _chunk: None)
    next(chunks)
    asked.wait(10)
    chunks.close()  # type: ignore[attr-defined]
    goes_on.set()
    wait_until(lambda: set(threading.enumerate()) <= before, "the end of the threads")
    assert len(pieces) == 8 + 1


def test_a_file_is_written_for_its_owner_alone(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "x"
    told: list[int] = []
    download(source.bucket, "x", source.size, path, source.check, told.append)
    assert path.read_bytes() == source.content
    assert path.stat().st_mode & 0o777 == 0o600
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, source.size)


def test_what_is_in_the_file_already_is_kept_as_far_as_it_is_right(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "x"
    damaged = bytearray(source.content[: 7 * CHUNK + 100])
    damaged[2 * CHUNK + 7] ^= 1
    damaged[4 * CHUNK : 5 * CHUNK] = bytes(CHUNK)
    path.write_bytes(damaged)
    path.chmod(0o644)
    source.download(path)
    assert source.fetched() == [2, 4, 7, 8, 9]
    assert path.stat().st_mode & 0o777 == 0o600
    source.download(path)
    assert not source.fetched()


def test_a_file_that_is_longer_is_cut(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(source.content + b"more")
    source.download(path)
    assert not source.fetched()


KILLED = """
import sys
from pathlib import Path
from pgkeeper.stores import download as downloads
from pgkeeper.stores.s3 import S3Bucket
from tests.integration.support.object_storage import bucket_settings

url, name, size, path = sys.argv[1:]
downloads.CHUNK = 64 << 10
downloads.download(S3Bucket(bucket_settings(url, name)), "x", int(size), Path(path), lambda _number, _chunk: None)
"""


def test_a_download_that_was_killed_goes_on_where_it_was(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "x"
    source.faults.append(Fault(lambda request: request.method == "GET" and chunk_of(request) >= 4, times=LASTING, delay=5))
    name = source.bucket.name.split("/")[2]
    with subprocess.Popen([sys.executable, "-c", KILLED, source.proxy.url, name, str(source.size), str(path)]) as process:
        wait_until(lambda: path.exists() and path.stat().st_size >= 4 * CHUNK, "four chunks")
        process.kill()
    source.faults.clear()
    source.fetched()
    source.download(path)
    assert set(source.fetched()) == {4, 5, 6, 7, 8, 9}


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


def test_a_file_that_has_no_room_is_told_and_what_is_there_is_kept(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with no_file_larger_than(5 * CHUNK), pytest.raises(OperationFailed, match=r"File too large .make room for \d+ bytes"):
        source.download(path)
    source.fetched()
    source.download(path)
    assert set(source.fetched()) == {5, 6, 7, 8, 9}


def test_a_full_disk_is_told(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _content: object, _position: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OperationFailed, match=r"No space left on device .make room"):
        source.download(tmp_path / "x")


def test_a_place_that_is_not_there_is_told(source: Source, tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="No such file or directory"):
        source.download(tmp_path / "nowhere" / "x")


def test_chunks_are_fetched_at_the_same_time(source: Source) -> None:
    together: list[int] = []
    now = 0
    lock = threading.Lock()
    read = source.bucket.read

    def counted(key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        nonlocal now
        with lock:
            now += 1
            together.append(now)
        yield from read(key, start, end)
        with lock:
            now -= 1

    source.faults.append(Fault(method("GET"), times=LASTING, delay=0.1))
    source.bucket.read = counted  # type: ignore[method-assign]
    assert b"".join(stream(source.bucket, "x", source.size, source.check)) == source.content
    assert 2 <= max(together) <= 4
