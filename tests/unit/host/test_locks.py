"""Locks between processes."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from pgkeeper.host.locks import exclusive, is_held, lock_path
from pgkeeper.model.errors import BusyError, OperationFailed

HOLDER = """
import sys, time
from pathlib import Path
from pgkeeper.host.locks import exclusive
with exclusive(Path(sys.argv[1]), "dump app", "a backup"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(state: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLDER, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_held_lock_is_busy_and_names_its_holder(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(BusyError, match=f"process {process.pid} ") as caught, exclusive(tmp_path, "dump app", "a backup"):
            pass
        assert caught.value.exit_status == 5
        with exclusive(tmp_path, "dump other", "a backup"):
            pass
        process.communicate()


def test_a_lock_survives_nobody(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with exclusive(tmp_path, "dump app", "a backup"):
            pass


def test_waiting_ends_when_the_holder_does(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()
        with exclusive(tmp_path, "dump app", "a backup", timedelta(seconds=30)):
            assert process.wait() == 0


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with exclusive(tmp_path, "dump app", "a backup"):
        child = subprocess.Popen(["sleep", "60"])
    try:
        with exclusive(tmp_path, "dump app", "a backup"):
            pass
    finally:
        child.kill()
        child.wait()


def test_names_of_locks_are_safe_file_names(tmp_path: Path) -> None:
    assert lock_path(tmp_path, "dump 15-main ../../x").parent == tmp_path / "locks"


def test_a_state_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_bytes(b"")
    with pytest.raises(OperationFailed, match="cannot lock"), exclusive(tmp_path, "x", "y"):
        pass


def test_a_lock_used_once_goes_with_its_holder_and_still_excludes(tmp_path: Path) -> None:
    with exclusive(tmp_path, "job x", "job x", once=True):
        assert is_held(tmp_path, "job x")
        with pytest.raises(BusyError), exclusive(tmp_path, "job x", "job x", once=True):
            pass
        assert lock_path(tmp_path, "job x").exists(), "whoever was turned away removed nothing"
    assert not lock_path(tmp_path, "job x").exists()
    assert not is_held(tmp_path, "job x")


def test_two_never_hold_a_name_whose_file_comes_and_goes(tmp_path: Path) -> None:
    threads = [threading.Thread(target=take_turns, args=(tmp_path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "count").read_text() == "40"


def take_turns(state: Path) -> None:
    """Count up, ten times, in a way that loses counts when two do it at once."""
    for _ in range(10):
        with exclusive(state, "x", "y", timedelta(minutes=1), once=True):
            file = state / "count"
            count = int(file.read_text()) if file.exists() else 0
            file.write_text(str(count + 1))
