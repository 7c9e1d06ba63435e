"""What runs in a directory of the benchmark's, and its end.

Most of what a run starts is ended by the kernel when the run dies. That does not hold for what was started by others: a recovered server is
to go on when the command that recovered it is over, and pgBackRest sends on when the server that called it is gone. So these are
told by where they work.

Started as a program, with a directory as argument, this is the parent of the run's servers. Each line on stdin starts one, and is answered
with its process id; what a server leaves behind belongs to this process, and not to whatever is measured meanwhile. When stdin
ends, as it does at the latest when the run dies, all that works in the directory is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.01
_USER = "postgres"
# A server and its processes, the shell it calls pgBackRest with, pgBackRest; and who is just about to start one.
_NAMES = ("postgres", "sh", "pgbackrest", "pg_ctl", "pgkeeper")


def adopt_orphans() -> None:
    """Let descendants that outlive their parents become our children. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def processes_in(directory: Path) -> list[int]:
    """Return the ids of PostgreSQL and pgBackRest processes that work in a directory or are told of it, and of those that start them."""
    user = pwd.getpwnam(_USER).pw_uid
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _works_in(entry, directory, user)]


def kill_all(directory: Path) -> None:
    """Kill these processes, all at once, and return when there are none."""
    while running := processes_in(directory):
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _works_in(process: Path, directory: Path, user: int) -> bool:
    try:
        name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
        if name not in _NAMES or process.stat().st_uid != user:
            return False
        here = (process / "cwd").readlink()
        told = (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        # It is gone, or somebody else's.
        return False
    # A server that was just started is not in its directory yet.
    return directory in (here, *here.parents) or f"{directory}/" in told


def _reap(_number: int, _frame: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _main(directory: Path) -> None:
    adopt_orphans()
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        asked = json.loads(line)
        with Path(asked["log"]).open("ab") as log:
            process = subprocess.Popen(
                # Should we be killed, the kernel tells the server to end at once.
                ["setpriv", "--pdeathsig", "QUIT", "--", *asked["arguments"]],
                cwd="/",
                env=asked["environment"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        print(process.pid, flush=True)
    kill_all(directory)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
