"""Reading a small file without trusting its size."""

import errno
import os
from pathlib import Path

import pytest

from pgkeeper.host.bounded_file import read_bounded


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 4096])
def test_a_file_within_the_bound_is_read_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert read_bounded(file, 4096) == content


def test_a_file_beyond_the_bound_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, 1 << 40)
    with pytest.raises(OSError, match="at most 4096 are read") as raised:
        read_bounded(file, 4096)
    assert raised.value.errno == errno.EFBIG


def test_a_named_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_bounded(tmp_path / "pipe", 4096)


def test_what_is_missing_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "nothing", 4096)
