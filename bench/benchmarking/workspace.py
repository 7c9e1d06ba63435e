"""The directory a run lives in, and the clearing of what a killed run left.

A run holds a lock on its directory for as long as it lives; a directory whose lock is free belongs to a dead one. The kernel ends the
measured programs of a killed run (PR_SET_PDEATHSIG), and its attendant the servers, so that only files are left.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from .left_running import kill_all
from .user import give_to_postgres

PREFIX = "pgkeeper-benchmark-"
_LOCK = "lock"
# Another run may be between making its directory and locking it.
_YOUNG_SECONDS = 60


class Workspace:
    """A directory of one run below `parent`, as a context manager; gone with everything in it at the end."""

    def __init__(self, parent: Path) -> None:
        clear_dead(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self.path.chmod(0o755)
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def directory(self, name: str, mode: int = 0o700) -> Path:
        """Make a directory in here that belongs to postgres."""
        path = self.path / name
        path.mkdir()
        give_to_postgres(path, mode)
        return path

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def clear_dead(parent: Path) -> None:
    """Remove the directories of runs that live no more."""
    for path in parent.glob(f"{PREFIX}*"):
        if _is_dead(path):
            # The attendant may have been killed as well.
            kill_all(path)
            shutil.rmtree(path, ignore_errors=True)


def _is_dead(path: Path) -> bool:
    try:
        lock = os.open(path / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        try:
            return time.time() - path.stat().st_mtime > _YOUNG_SECONDS
        except FileNotFoundError:
            return False
    except PermissionError:
        # Somebody else's, and so not ours to remove.
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
