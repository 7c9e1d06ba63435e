"""A library that reads and writes files, on a stream."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.crypto.age_stream import StreamFile, streamed


def copying(size: int) -> Callable[[StreamFile], None]:
    def work(file: StreamFile) -> None:
        while data := file.read(size):
            assert len(data) <= size
            file.write(data)

    return work


@settings(deadline=None)
@given(chunks=st.lists(st.binary(max_size=50), max_size=20), size=st.integers(1, 60))
def test_what_goes_in_comes_out(chunks: list[bytes], size: int) -> None:
    assert b"".join(streamed(chunks, copying(size))) == b"".join(chunks)


def test_pieces_come_as_they_are_made() -> None:
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield bytes(1 << 20)

    pieces = streamed(chunks(), copying(8192))
    assert len(next(pieces)) == 1 << 20
    assert read <= 2
    pieces.close()  # type: ignore[attr-defined]


def test_chunks_are_read_by_whoever_wants_the_pieces() -> None:
    def chunks() -> Iterator[bytes]:
        yield threading.current_thread().name.encode()

    assert b"".join(streamed(chunks(), copying(10))) == threading.current_thread().name.encode()


def test_an_error_of_the_work_is_raised_after_what_it_wrote() -> None:
    def work(file: StreamFile) -> None:
        file.write(file.read(2 << 20))
        raise ZeroDivisionError("the work failed")

    pieces = streamed([bytes(2 << 20)], work)
    assert len(next(pieces)) == 2 << 20
    with pytest.raises(ZeroDivisionError, match="the work failed"):
        next(pieces)


def test_work_that_goes_on_after_it_was_stopped_is_stopped_again() -> None:
    stopped: list[Exception] = []

    def stubborn(file: StreamFile) -> None:
        for _ in range(3):
            try:
                file.write(bytes(1 << 20))
                file.read(1)
            except Exception as error:  # noqa: BLE001 - a library may do that
                stopped.append(error)

    before = set(threading.enumerate())
    pieces = streamed([], stubborn)
    assert next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before
    assert len(stopped) == 3


def test_a_process_that_ends_half_way_does_not_wait() -> None:
    program = (
        "from pgkeeper.crypto.age_stream import streamed\n"
        "def work(file):\n    while True: file.write(file.read(9) or bytes(1 << 20))\n"
        "import builtins\nbuiltins.kept = streamed([], work)\nnext(builtins.kept)\nprint('half way')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "half way\n")
