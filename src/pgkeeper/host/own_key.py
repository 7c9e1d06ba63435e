"""Keys that the host makes for itself: 32 random bytes in a file, mode 0600."""

import os
import secrets
import tempfile
from pathlib import Path

from pgkeeper.host.durable import fsync_directory
from pgkeeper.model.errors import OperationFailed

KEY_BYTES = 32


def own_key(path: Path) -> bytes:
    """Return the key in `path`, made at the first use. Raises OperationFailed when that fails or the file holds something else."""
    try:
        key = existing_key(path)
        if key is None:
            _make(path)
            key = path.read_bytes()
        return _checked(key, path)
    except OSError as error:
        raise _unusable(path, error) from error


def existing_key(path: Path) -> bytes | None:
    """Return the key in `path`, None where none was made yet. Raises OperationFailed as `own_key` does."""
    try:
        return _checked(path.read_bytes(), path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error


def _checked(key: bytes, path: Path) -> bytes:
    if len(key) != KEY_BYTES:
        raise OperationFailed(f"cannot use {path}", f"it holds {len(key)} bytes instead of {KEY_BYTES}", "remove it: a new one is made")
    return key


def _unusable(path: Path, error: OSError) -> OperationFailed:
    return OperationFailed(f"cannot use {path}", error.strerror or "", "BACKUP_STATE_DIR must belong to postgres and have space")


def _make(path: Path) -> None:
    """Write a new key; of two who do so at once, the first one's counts for both."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        fsync_directory(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)
