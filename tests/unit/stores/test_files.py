"""Files that are whole or not there."""

import gzip
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import FileEntry
from pgkeeper.stores.files import read_checked, read_gzip, write_file, write_gzip

SAME_DIRECTORY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
CONTENT = b"".join(b"%d\tsome text that compresses\n" % number for number in range(200_000))


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, FileEntry]:
    path = tmp_path / "data.gz"
    pieces = [CONTENT[start : start + 700_001] for start in range(0, len(CONTENT), 700_001)]
    return path, write_gzip(path, pieces)


def test_what_was_compressed_reads_back_here_and_with_gzip(written: tuple[Path, FileEntry]) -> None:
    path, entry = written
    assert b"".join(read_gzip(path, entry)) == CONTENT
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert subprocess.run(["zcat", path], capture_output=True, check=True).stdout == CONTENT
    assert entry.size == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600


@SAME_DIRECTORY
@given(st.data())
def test_any_changed_byte_of_a_compressed_file_is_noticed(written: tuple[Path, FileEntry], data: st.DataObject) -> None:
    path, entry = written
    position = data.draw(st.integers(0, entry.size - 1))
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= data.draw(st.integers(1, 255))
    other = path.with_name("damaged.gz")
    other.write_bytes(damaged)
    with pytest.raises(IntegrityError):
        sum(map(len, read_gzip(other, entry)))


@SAME_DIRECTORY
@given(st.data())
def test_a_file_cut_anywhere_is_noticed(written: tuple[Path, FileEntry], data: st.DataObject) -> None:
    path, entry = written
    other = path.with_name("cut.gz")
    other.write_bytes(path.read_bytes()[: data.draw(st.integers(0, entry.size - 1))])
    for read in (read_gzip, read_checked):
        with pytest.raises(IntegrityError):
            sum(map(len, read(other, entry)))


def test_more_than_was_promised_is_noticed(written: tuple[Path, FileEntry]) -> None:
    path, entry = written
    with path.open("ab") as file:
        file.write(path.read_bytes())
    with pytest.raises(IntegrityError, match="more than"):
        sum(map(len, read_gzip(path, entry)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="gone is missing"):
        list(read_checked(tmp_path / "gone", FileEntry(name="gone", size=1, sha256="0" * 64)))


def test_empty_content_is_a_valid_file(tmp_path: Path) -> None:
    entry = write_gzip(tmp_path / "empty.gz", [])
    assert list(read_gzip(tmp_path / "empty.gz", entry)) == []


def test_an_error_while_writing_is_the_one_that_is_seen(tmp_path: Path) -> None:
    def failing() -> list[bytes]:
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        write_gzip(tmp_path / "x.gz", (piece for _ in range(1) for piece in failing()))


def test_files_are_never_written_over(tmp_path: Path) -> None:
    write_file(tmp_path / "x", [b"1"])
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "x", [b"2"])
