"""Acting as the OS user `postgres` from a test session that runs as root."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

SERVICE_USER = "postgres"


def service_ids() -> tuple[int, int]:
    """Numeric user and group of `postgres`."""
    entry = pwd.getpwnam(SERVICE_USER)
    return entry.pw_uid, entry.pw_gid


def make_service_directory(path: Path, mode: int = 0o700) -> Path:
    """Make `path` (parents must exist) and give it to `postgres`."""
    path.mkdir()
    path.chmod(mode)
    os.chown(path, *service_ids())
    return path
