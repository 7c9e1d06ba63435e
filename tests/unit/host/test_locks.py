"""Locks between processes."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pgkeeper.host.locks import exclusive, lock_path
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
