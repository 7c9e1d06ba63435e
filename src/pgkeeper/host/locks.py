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
    state_dir: Path,
    name: str,
    what: str,
    wait: timedelta = timedelta(),
    hint: str = "wait for it, or use --wait",
    *,
    once: bool = False,
) -> Iterator[None]:
    """Hold the lock `name` for the length of the block; `what` says for whom ("a backup of app").

    Waits up to `wait` for another holder, then raises BusyError (exit status 5) with the holder's process id. The file stays, unless the
    name is used `once`: then it goes at the end of the block.
    """
    path = lock_path(state_dir, name)
    descriptor = _acquire(path, what, hint, time.monotonic() + wait.total_seconds())
    try:
        # The holder's name is for people; a full disk must not cost the lock.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        if once:
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


@contextmanager
def shared(state_dir: Path, name: str) -> Iterator[None]:
    """Keep whoever wants the lock `name` for himself out for the length of the block, beside others who do the same.

    Waits for a holder who has it exclusively: such holders are quick.
    """
    path = lock_path(state_dir, name)
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_at(descriptor, path):
                yield
                return
        finally:
            os.close(descriptor)


def is_held(state_dir: Path, name: str) -> bool:
    """Tell whether somebody holds the lock `name`."""
    try:
        descriptor = os.open(lock_path(state_dir, name), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return is_locked(descriptor)
    finally:
        os.close(descriptor)


def is_locked(descriptor: int) -> bool:
    """Tell whether somebody holds the lock of an open file. The look itself is a shared lock, until the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _acquire(path: Path, what: str, hint: str, deadline: float) -> int:
    while True:
        descriptor = _open(path)
        try:
            _wait(descriptor, path, what, hint, deadline)
            # Its last holder may have removed it; who comes later locks another file of that name.
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait(descriptor: int, path: Path, what: str, hint: str, deadline: float) -> None:
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            holder = os.pread(descriptor, 40, 0).decode("ascii", "replace").strip()
            raise BusyError(f"{what} is already running", f"process {holder or 'unknown'} holds {path}", hint)
        time.sleep(_POLL_SECONDS)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OperationFailed(
            f"cannot lock {path}", error.strerror or "", "BACKUP_STATE_DIR must belong to postgres and have space"
        ) from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
