"""A directory for one piece of work that leaves nothing behind: what a killed process leaves is cleared by the next."""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pgkeeper.host.locks import is_locked
from pgkeeper.host.logs import log
from pgkeeper.model.errors import OperationFailed

_LOCK = "lock"
_UNLOCKED = "unlocked"
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
        lock = os.open(place / _UNLOCKED, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperationFailed(f"cannot work in {parent}", error.strerror or "", "it must belong to postgres and have space") from error
    try:
        # A lock that the kernel frees when we die, and that nothing we start inherits.
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now under its name: who finds a lock that nobody holds takes the place for abandoned.
        (place / _UNLOCKED).rename(place / _LOCK)
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
        return not is_locked(lock)
    finally:
        os.close(lock)


def _clear(place: Path) -> None:
    """Remove the directory; processes that are just ending may still write into it for a moment."""
    deadline = time.monotonic() + _CLEARING_SECONDS
    while True:
        try:
            top = _opened(place, None)
            try:
                _empty(top)
            finally:
                os.close(top)
            place.rmdir()
        except FileNotFoundError:
            if not place.exists():
                return
        except OSError as error:
            if time.monotonic() > deadline:
                log.error("a working directory could not be removed", path=str(place), error=str(error))
                return
            time.sleep(0.1)
        else:
            return


def _empty(top: int) -> None:
    """Remove all that is in an open directory, whatever hostile code made of it. Raises OSError.

    What is nested is first moved to the top, so that depth costs neither stack nor long paths; no link is followed.
    """
    while names := os.listdir(top):
        for name in names:
            if _removed(name, top):
                continue
            inner = _opened(name, top)
            try:
                for nested in os.listdir(inner):  # noqa: PTH208
                    if not _removed(nested, inner):
                        # To be moved, a directory must be open to its owner.
                        os.close(_opened(nested, inner))
                        os.rename(nested, secrets.token_hex(8), src_dir_fd=inner, dst_dir_fd=top)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _removed(name: str, directory: int) -> bool:
    """Remove anything but a directory; tell whether it was anything but a directory."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        return False
    return True


def _opened(path: Path | str, directory: int | None) -> int:
    """Open a directory, after opening it to its owner: whoever wrote here may have closed it."""
    found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=directory)
    try:
        os.chmod(f"/proc/self/fd/{found}", 0o700)  # noqa: PTH101 - by descriptor, which leads nowhere else
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=found)
    finally:
        os.close(found)
