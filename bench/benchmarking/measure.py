"""Measuring one command: its time, its processor time and its memory, with all its descendants.

Time is the wall clock's from start to end. Processor time is what the kernel counted for the command and everything it started, also
for what outlived its parent. Memory is sampled: the sum of what each process holds (PSS, so that what several share counts once). The
server that is talked to is none of the command's children, and counts for nothing here.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import BenchmarkError
from .user import as_postgres

_SAMPLE_SECONDS = 0.05
_STOP_SECONDS = 15
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Usage:
    """What a command took: seconds and bytes. `own_peak_bytes` is its first process's alone, as the kernel keeps it (VmHWM)."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    own_peak_bytes: int


def adopt_orphans() -> None:
    """Let descendants that outlive their parents become our children, so that their processor time is counted too."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise BenchmarkError(f"prctl failed: {os.strerror(ctypes.get_errno())}")


def measure(arguments: Sequence[str], environment: Mapping[str, str], output: int | IO[bytes], errors: IO[bytes]) -> Usage:
    """Run a command as postgres to its end and return what it took. `output` is its stdout, `errors` (a real file) its stderr.

    Raises BenchmarkError with the command's last words when it fails, or leaves something running.
    """
    others = set(_children(os.getpid()))
    began = time.monotonic()
    process = subprocess.Popen(
        # Should we be killed, the kernel ends the command. setpriv replaces itself, so the process id is the command's.
        ["setpriv", "--pdeathsig", "KILL", "--", *arguments],
        **as_postgres(),
        cwd="/",
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )
    memory = _MemoryWatch(process.pid)
    try:
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = _cpu_seconds(usage) + sum(_reap(pid) for pid in _children(os.getpid()) if pid not in others)
    except BaseException:
        _end(process, others)
        raise
    finally:
        memory.stop()
    if process.returncode != 0:
        raise BenchmarkError(f"{' '.join(arguments)} ended with {process.returncode}: {_last_words(errors)}")
    return Usage(wall, seconds, memory.peak_bytes, memory.own_peak_bytes)


class _MemoryWatch:
    """Looks at a process and its descendants twenty times a second."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self.own_peak_bytes = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            family = [self._pid]
            for member in family:
                family += _children(member)
            self.peak_bytes = max(self.peak_bytes, sum(_field(pid, "smaps_rollup", b"Pss:") for pid in family))
            self.own_peak_bytes = max(self.own_peak_bytes, _field(self._pid, "status", b"VmHWM:"))


def _children(pid: int) -> list[int]:
    """Return the children of a process; none when it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_bytes().split())
    return found


def _field(pid: int, file_name: str, field: bytes) -> int:
    """Return a size from one of the kernel's files about a process, in bytes; 0 when it is gone, or is just becoming another program."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/{file_name}").read_bytes().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def _cpu_seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _reap(pid: int) -> float:
    """Wait for a descendant whose parent is gone; return its processor time."""
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        gone, _status, usage = os.wait4(pid, os.WNOHANG)
        if gone:
            return _cpu_seconds(usage)
        time.sleep(0.01)
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    raise BenchmarkError(f"the command is over, and left this running: {command}")


def _end(process: subprocess.Popen[bytes], others: set[int]) -> None:
    """End a command that nobody waits for any more, and whatever is left of it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        process.wait()
    for pid in _children(os.getpid()):
        if pid not in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-3:]) or "it said nothing"
