"""Where PostgreSQL's own programs are."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

DEBIAN_ROOT = Path("/usr/lib/postgresql")


@functools.cache
def server_directory() -> Path:
    """`bin` of the newest PostgreSQL installed; raises LookupError when there is none."""
    versions = sorted((path for path in DEBIAN_ROOT.glob("*/bin/initdb")), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise LookupError(f"no PostgreSQL server under {DEBIAN_ROOT}: apt-get install postgresql")
    return versions[-1].parent


def server_binary(name: str) -> str:
    """Path of one of the newest server's programs."""
    return str(server_directory() / name)


@functools.cache
def major_version() -> int:
    """The newest server's major version, such as 15."""
    return major_of(server_directory())


def major_of(binaries: Path) -> int:
    """The major version of the programs in a directory that is named after it, as Debian's and Red Hat's are."""
    return int(binaries.parent.name.rpartition("-")[2])


@functools.cache
def extension_directory() -> Path:
    """Where that server looks for extensions' control files."""
    answer = subprocess.run([server_binary("pg_config"), "--sharedir"], capture_output=True, text=True, check=True).stdout.strip()
    return Path(answer) / "extension"
