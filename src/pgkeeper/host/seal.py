"""The host's own key, with which it seals what it writes for itself."""

import os
import secrets
from pathlib import Path

from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.seal import Seal

_KEY_BYTES = 32


def host_seal(state_dir: Path) -> Seal:
    """Return the seal of this host; its key is made at the first use and kept in `BACKUP_STATE_DIR/seal.key`, mode 0600.

    A host that lost its key makes a new one: proofs sealed before are then no longer believed, and backups have to be proven again.
    """
    path = state_dir / "seal.key"
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _make(path)
            return _read(path)
    except OSError as error:
        raise OperationFailed(
            f"cannot use {path}", error.strerror or "", "BACKUP_STATE_DIR must belong to postgres and have space"
        ) from error


def _read(path: Path) -> Seal:
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise OperationFailed(f"cannot use {path}", f"it holds {len(key)} bytes instead of {_KEY_BYTES}", "remove it: a new one is made")
    return Seal(key)


def _make(path: Path) -> None:
    """Write a new key; of two who do so at once, the first one's counts for both."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
