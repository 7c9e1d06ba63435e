"""Who this host is, for good: a name for people and places, and the machine's own id to notice impostors."""

import socket
import uuid
from pathlib import Path

from pgkeeper.host.durable import replace_file
from pgkeeper.model.errors import OperationFailed

_MACHINE_ID = Path("/etc/machine-id")


def host_identity(state_dir: Path) -> str:
    """Return the name under which this host's backups are kept.

    It is the host name of the first run, remembered in `BACKUP_STATE_DIR/host-identity`, so that a renamed host keeps finding its backups.
    """
    return _remembered(state_dir / "host-identity", socket.gethostname())


def take_identity(state_dir: Path, name: str) -> None:
    """Go on under another host's name, whose backups this host takes over. Raises OSError."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(state_dir / "host-identity", f"{name}\n".encode())


def machine_id(state_dir: Path) -> str:
    """Return what tells this machine from another with the same name: systemd's machine-id, or one we made ourselves."""
    try:
        found = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    return found or _remembered(state_dir / "machine-id", uuid.uuid4().hex)


def _remembered(path: Path, default: str) -> str:
    try:
        if path.exists() and (value := path.read_text(encoding="utf-8").strip()):
            return value
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(default + "\n", encoding="utf-8")
    except OSError as error:
        raise OperationFailed(f"cannot use {path}", error.strerror or "", "BACKUP_STATE_DIR must belong to postgres") from error
    return default
