"""Everything that is measured runs as the OS user postgres, as in production."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TypedDict

from .errors import BenchmarkError

USER = "postgres"


class Identity(TypedDict, total=False):
    """Arguments of `subprocess.Popen` that say who a child is."""

    user: str
    group: str
    extra_groups: list[str]


def require_user() -> None:
    """Raise BenchmarkError unless this is postgres, or root, who can become it."""
    try:
        wanted = pwd.getpwnam(USER).pw_uid
    except KeyError:
        raise BenchmarkError(f"there is no user {USER}; install PostgreSQL: apt-get install postgresql") from None
    if os.geteuid() not in (0, wanted):
        raise BenchmarkError(f"run this as root or as {USER}")


def as_postgres() -> Identity:
    """Return what makes a child run as postgres; nothing where we are postgres already."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


def give_to_postgres(path: Path, mode: int) -> None:
    """Make `path` belong to postgres, with these permissions."""
    path.chmod(mode)
    if os.geteuid() == 0:
        entry = pwd.getpwnam(USER)
        os.chown(path, entry.pw_uid, entry.pw_gid)
