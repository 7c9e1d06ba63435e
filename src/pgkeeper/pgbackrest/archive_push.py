"""`pgbackrest archive-push`: PostgreSQL calls it. We only end what is under way, where the repositories it writes to are others by now."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from pgkeeper.pgbackrest.program import PgBackRest

_END_SECONDS = 10.0
_POLL_SECONDS = 0.05


def end_pushes(program: PgBackRest) -> int:
    """End the pushes of our cluster's log that are under way; returns how many processes that were.

    A push keeps the repositories it began with, and tries one that is out of reach for many minutes, while others wait for it. No log is
    lost: to PostgreSQL it has failed, and is called again.
    """
    ended = set(_pushes(program))
    _send(signal.SIGTERM, ended)
    deadline = time.monotonic() + _END_SECONDS
    while (left := ended & set(_pushes(program))) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    _send(signal.SIGKILL, left)
    return len(ended)


def _pushes(program: PgBackRest) -> list[int]:
    """Return the processes: those that PostgreSQL waits for, the one that does the work for all, and its own."""
    wanted = {f"--config={program.config_file}".encode(), f"--stanza={program.stanza}".encode()}
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if Path(os.fsdecode(words[0])).name == "pgbackrest" and wanted <= set(words) and _is_push(words):
                found.append(int(process.name))
    return found


def _is_push(words: list[bytes]) -> bool:
    return any(word == b"archive-push" or word.startswith(b"archive-push:") for word in words)


def _send(number: signal.Signals, processes: set[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)
