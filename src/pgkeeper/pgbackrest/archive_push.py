"""`pgbackrest archive-push`: PostgreSQL calls it.

We only send a history once more, and end what is under way where the repositories it writes to are others by now.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from pgkeeper.pgbackrest.program import IMPATIENT, PgBackRest
from pgkeeper.pgbackrest.under_way import under_way

_END_SECONDS = 10.0
_POLL_SECONDS = 0.05
_PUSH_SECONDS = 300.0


def push_history(program: PgBackRest, history: Path) -> None:
    """Send a timeline's history to every attached repository, and wait until it is there; one that has it already may get it again.

    Raises PgBackRestFailed where one of them did not get it; the others have it all the same.
    """
    # Asynchronously the file would be looked for in the spool directory, among what the server itself has sent.
    program.output("archive-push", IMPATIENT, "--no-archive-async", str(history), timeout=_PUSH_SECONDS)


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
    return under_way("archive-push", [f"--config={program.config_file}", f"--stanza={program.stanza}"])


def _send(number: signal.Signals, processes: set[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)
