"""The directory a test session lives in, and the clearing of what a killed session left behind.

A session holds a lock on its directory for as long as it lives. A directory whose lock is free belongs to a dead
session: its cluster is stopped, its mounts are released, its files removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .binaries import server_binary
from .user import SERVICE_USER, make_service_directory

# Not /tmp, which is often kept in memory, and then too small for clusters. Short, since a socket's path has an end.
PLACE, PREFIX = Path("/var/tmp"), "pgk-"


class Workspace:
    """A session's directory for large temporary files; traversable by `postgres`."""

    def __init__(self) -> None:
        clear_dead_workspaces()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
        self.path.chmod(0o755)
        self._lock = os.open(self.path / "session.lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

        # Written by root and postgres alike.
        self.directory("compiled").chmod(0o777)

    def directory(self, name: str, mode: int = 0o700) -> Path:
        """A new directory here that belongs to `postgres`."""
        return make_service_directory(self.path / name, mode)

    def remove(self) -> None:
        """Stop what runs in the directory and remove it."""
        clear(self.path)
        os.close(self._lock)


def clear_dead_workspaces() -> None:
    """Clear the directories of sessions that no longer live."""
    for path in PLACE.glob(f"{PREFIX}*"):
        if _is_dead(path):
            clear(path)


def live_workspaces() -> int:
    """How many sessions live now, this one included."""
    return sum(not _is_dead(path) for path in PLACE.glob(f"{PREFIX}*"))


def clear(path: Path) -> None:
    """Stop the clusters in `path`, release its mounts, remove it."""
    for pid_file in path.rglob("postmaster.pid"):
        subprocess.run(
            [server_binary("pg_ctl"), "stop", "-w", "-m", "immediate", "-D", str(pid_file.parent)],
            user=SERVICE_USER,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    for mount in mounts_below(path):
        subprocess.run(["umount", "--lazy", str(mount)], check=False)
    shutil.rmtree(path, ignore_errors=True)


def mounts_below(path: Path) -> list[Path]:
    """Mount points under `path`, innermost first."""
    points = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((point for point in points if path in point.parents), reverse=True)


def _is_dead(path: Path) -> bool:
    try:
        lock = os.open(path / "session.lock", os.O_RDWR)
    except FileNotFoundError:
        # Another session may be between making its directory and locking it.
        return time.time() - path.stat().st_mtime > 60
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
