"""Child processes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pgkeeper.host.processes import Child, bound_to, describe, run
from pgkeeper.model.errors import OperationFailed

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
PARENT = """
import subprocess, sys
from pgkeeper.host.processes import Child
with Child(["/bin/sleep", "300"], {}) as child:
    print(child.pid, flush=True)
    sys.stdin.read()
"""


def test_output_is_returned_and_the_environment_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert run(["/usr/bin/env"], {"ONLY": "this"}) == "ONLY=this\n"


def test_a_child_needs_no_directory_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert run(["/bin/sh", "-c", "echo said"], ENVIRONMENT) == "said\n"


def test_a_child_has_a_session_of_its_own_and_no_terminal() -> None:
    session, terminal = run(["/bin/sh", "-c", "cut -d ' ' -f 6,7 /proc/$$/stat"], ENVIRONMENT).split()
    assert int(session) != os.getsid(0)
    assert terminal == "0"


def test_an_orphan_does_not_begin(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    for parent, expected in ((os.getppid(), False), (os.getpid(), True)):
        subprocess.run(bound_to(parent, "TERM", ["/bin/touch", begun]), check=False)
        assert begun.exists() == expected


def test_a_failure_tells_in_the_programs_own_words() -> None:
    with pytest.raises(OperationFailed, match="sh failed: it went wrong"):
        run(["/bin/sh", "-c", "echo it went wrong >&2; exit 3"], ENVIRONMENT)


def test_a_signal_is_a_failure() -> None:
    with Child(["/bin/sh", "-c", "kill -9 $$"], ENVIRONMENT) as child:
        status = child.wait()
        assert describe(child, status) == "ended by signal 9"


def test_a_program_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(OperationFailed, match="did not end"):
        run(["/bin/sleep", "300"], ENVIRONMENT, timeout=0.2)
    assert time.monotonic() - began < 60


def test_a_program_that_does_not_exist_is_a_failure() -> None:
    with pytest.raises(OperationFailed):
        run(["/nonexistent/program"], ENVIRONMENT)


def test_more_words_than_a_pipe_holds_block_nothing() -> None:
    with Child(["/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2"], ENVIRONMENT) as child:
        assert child.wait(30) == 0
        assert len(child.messages()) == 64 * 1024


def test_leaving_the_block_ends_the_program() -> None:
    with Child(["/bin/sleep", "300"], ENVIRONMENT) as child:
        pid = child.pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_program_does_not_outlive_us_even_when_we_are_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        # The kernel's promise begins when setpriv has become the program.
        _wait(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    _wait(lambda: not _alive(pid))


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "this never became true"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
