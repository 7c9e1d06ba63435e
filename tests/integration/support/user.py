"""Acting as the OS user `postgres` from a test session that runs as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
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


def run_as_service_user(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, seconds: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a program as `postgres`, in nearly no environment, and keep all it says; what it ended with is the caller's to judge."""
    return subprocess.run(
        command,
        user=SERVICE_USER,
        group=SERVICE_USER,
        extra_groups=[],
        cwd="/",
        env=environment if environment is not None else {"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
    )
