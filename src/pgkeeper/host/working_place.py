"""A directory for one piece of work that leaves nothing behind: what a killed process leaves is cleared by the next."""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pgkeeper.host.logs import log
from pgkeeper.model.errors import OperationFailed

_LOCK = "lock"
_NAME = re.compile(r"p[0-9a-f]{6}")
_YOUNG_SECONDS = 60
_CLEARING_SECONDS = 10


@contextmanager
def working_place(parent: Path) -> Iterator[Path]:
    """Yield a new directory in `parent`, ours alone, gone at the end. First clears those of processes that no longer live.

    Its name is short: the path of a socket may have no more than 107 bytes. Raises OperationFailed when it can't be made.
    """
    clear_working_places(parent)
    place = parent / f"p{secrets.token_hex(3)}"
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir(mode=0o700)
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperationFailed(f"cannot work in {parent}", error.strerror or "", "it must belong to postgres and have space") from error
    try:
        # A lock that the kernel frees when we die, and that nothing we start inherits.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
    finally:
        _clear(place)
        os.close(lock)


def clear_working_places(parent: Path) -> None:
    """Remove what killed processes left in `parent`."""
    for place in parent.iterdir() if parent.is_dir() else ():
        if _NAME.fullmatch(place.name) and _abandoned(place):
            log.info("clearing what a killed process left", path=str(place))
            _clear(place)


def _abandoned(place: Path) -> bool:
    try:
        lock = os.open(place / _LOCK, os.O_RDWR)
    except OSError:
        # Somebody may be between making the directory and locking it; a killed process may be, too.
        with suppress(OSError):
            return time.time() - place.stat().st_mtime > _YOUNG_SECONDS
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _clear(place: Path) -> None:
    """Remove the directory; processes that are just ending may still write into it for a moment."""
    deadline = time.monotonic() + _CLEARING_SECONDS
    while place.exists():
        shutil.rmtree(place, onerror=_open_and_retry)
        if time.monotonic() > deadline:
            log.error("a working directory could not be removed", path=str(place))
            return
        if place.exists():
            time.sleep(0.1)


def _open_and_retry(work: Callable[..., Any], path: str, _error: object) -> None:
    """Whoever wrote here may have closed a directory to its owner."""
    with suppress(OSError):
        Path(path).parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
        else:
            work(path)
