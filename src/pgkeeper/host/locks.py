"""Locks between pgkeeper's processes on one host: flock, which the kernel releases when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from pgkeeper.model.errors import BusyError, OperationFailed
from pgkeeper.model.names import encode_segment

_POLL_SECONDS = 0.5


def lock_path(state_dir: Path, name: str) -> Path:
    """Return the file that stands for the lock `name`."""
    return state_dir / "locks" / f"{encode_segment(name)}.lock"


@contextmanager
def exclusive(
    state_dir: Path, name: str, what: str, wait: timedelta = timedelta(), hint: str = "wait for it, or use --wait"
) -> Iterator[None]:
    """Hold the lock `name` for the length of the block; `what` says for whom ("a backup of app").

    Waits up to `wait` for another holder, then raises BusyError (exit status 5) with the holder's process id. The file stays: removing it
    would let two processes hold different files of one name.
    """
    path = lock_path(state_dir, name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperationFailed(
            f"cannot lock {path}", error.strerror or "", "BACKUP_STATE_DIR must belong to postgres and have space"
        ) from error
    try:
        deadline = time.monotonic() + wait.total_seconds()
        while not _try(descriptor):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 40, 0).decode("ascii", "replace").strip()
                raise BusyError(f"{what} is already running", f"process {holder or 'unknown'} holds {path}", hint)
            time.sleep(_POLL_SECONDS)
        # The holder's name is for people; a full disk must not cost the lock.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
