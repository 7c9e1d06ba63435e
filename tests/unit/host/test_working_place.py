"""A working place is gone at the end, whatever was made of it, and takes nothing else with it."""

import fcntl
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from pgkeeper.host.working_place import clear_working_places, working_place
from pgkeeper.model.errors import OperationFailed


def test_a_working_place_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    parent = tmp_path / "not" / "there"
    with working_place(parent) as place:
        assert place.parent == parent
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "file").write_text("x")
    assert list(parent.iterdir()) == []


def test_a_failure_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), working_place(tmp_path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperationFailed, match="cannot work in"), working_place(tmp_path / "file" / "below"):
        pass


def test_the_next_clears_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    for name in ("p0abcde", "p0abcdef", "precious"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
    with working_place(tmp_path) as mine:
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, "p0abcdef", "precious"}


def test_a_place_in_use_is_left_alone(tmp_path: Path) -> None:
    used, beginning = tmp_path / "p000001", tmp_path / "p000002"
    used.mkdir()
    beginning.mkdir()
    lock = os.open(used / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    clear_working_places(tmp_path)
    assert used.is_dir()
    assert beginning.is_dir()
    os.close(lock)
    os.utime(beginning, (0, 0))
    clear_working_places(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_just_being_made_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_lock = fcntl.flock

    def while_another_clears(lock: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", take_lock)
        clear_working_places(tmp_path)
        take_lock(lock, operation)

    monkeypatch.setattr(fcntl, "flock", while_another_clears)
    with working_place(tmp_path) as place:
        assert place.is_dir()


def test_directories_that_are_closed_or_read_only_go_too(tmp_path: Path) -> None:
    with working_place(tmp_path) as place:
        deep = place / "a" / "b" / "c"
        deep.mkdir(parents=True)
        (deep / "file").touch()
        for directory in (deep, deep.parent, deep.parent.parent, place):
            directory.chmod(0)
    assert list(tmp_path.iterdir()) == []


def test_any_depth_goes(tmp_path: Path) -> None:
    with working_place(tmp_path) as place:
        directory = os.open(place, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("d", dir_fd=directory)
            inner = os.open("d", os.O_RDONLY, dir_fd=directory)
            os.close(directory)
            directory = inner
        os.close(directory)
    assert list(tmp_path.iterdir()) == []


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "below").mkdir(parents=True)
    (kept / "below" / "file").write_text("x")
    kept.chmod(0o711)
    with working_place(tmp_path / "proofs") as place:
        (place / "link").symlink_to(kept)
        (place / "closed").mkdir()
        (place / "closed" / "link").symlink_to(kept / "below")
        (place / "closed" / "file").symlink_to(kept / "below" / "file")
        (place / "closed").chmod(0)
    assert (kept / "below" / "file").read_text() == "x"
    assert kept.stat().st_mode & 0o777 == 0o711
    assert list((tmp_path / "proofs").iterdir()) == []


def test_sockets_and_pipes_and_odd_names_go_too(tmp_path: Path) -> None:
    with working_place(tmp_path) as place, closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(place / "socket"))
        os.mkfifo(place / "pipe")
        (place / os.fsdecode(b"\xff\n")).mkdir()
        (place / "linked").touch()
        os.link(place / "linked", place / "again")
    assert list(tmp_path.iterdir()) == []
