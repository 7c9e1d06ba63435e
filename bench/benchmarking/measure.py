"""Measuring one command: its time, its processor time and its memory, with all its descendants.

Time is the wall clock's from start to end. Processor time is what the kernel counted for the command and everything it started, also
for what outlived its parent. Memory is sampled: the sum of what each process holds (PSS, so that what several share counts once). The
server that is talked to is none of the command's children, and counts for nothing here. One that the command starts is, even
where it is to stay.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import BenchmarkError
from .left_running import processes_in
from .user import as_postgres

_SAMPLE_SECONDS = 0.05
_STOP_SECONDS = 15
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a command took: seconds and bytes. `own_peak_bytes` is its first process's alone, as the kernel keeps it (VmHWM).

    `left` are the processes that it was to leave running, ours now.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    own_peak_bytes: int
    left: tuple[int, ...] = ()


def measure(
    arguments: Sequence[str], environment: Mapping[str, str], output: int | IO[bytes], errors: IO[bytes], product: Path | None = None
) -> Usage:
    """Run a command as postgres to its end and return what it took. `output` is its stdout, `errors` (a real file) its stderr.

    A server that works in the directory `product` is what the command was to make, and goes on; it counts for as long as the command ran.
    Who has it stopped calls `reap` then.

    Raises BenchmarkError with the command's last words when it fails, or leaves anything else running.
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
    memory = _MemoryWatch(process.pid, others)
    try:
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stays = processes_in(product) if product is not None else []
        seconds = _cpu_seconds(usage) + sum(map(_cpu_seconds_until_now, stays))
        orphans = [pid for pid in _children(os.getpid()) if pid not in others]
        seconds += sum(reap(pid) for pid in orphans if pid not in stays)
    except BaseException:
        _end(process, others)
        raise
    finally:
        memory.stop()
    if process.returncode != 0:
        raise BenchmarkError(f"{' '.join(arguments)} ended with {process.returncode}: {_last_words(errors)}")
    left = tuple(pid for pid in orphans if pid in stays)
    return Usage(wall, seconds, memory.peak_bytes, memory.own_peak_bytes, left)


class _MemoryWatch:
    """Looks at a process and its descendants twenty times a second, and at those who are our children since their parents are gone."""

    def __init__(self, pid: int, others: Collection[int]) -> None:
        self.peak_bytes = 0
        self.own_peak_bytes = 0
        self._pid = pid
        self._others = others
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            family = [pid for pid in _children(os.getpid()) if pid not in self._others]
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


def _cpu_seconds_until_now(pid: int) -> float:
    """Return the processor time of a process that runs, and of its children that have ended."""
    with suppress(OSError):
        # What follows the name, in parentheses, has no spaces of its own; proc(5) counts from the process id.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS
    return 0.0


def reap(pid: int) -> float:
    """Wait for a descendant whose parent is gone; return its processor time. Raises BenchmarkError when it does not end."""
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
