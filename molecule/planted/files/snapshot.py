#!/usr/bin/env python3
"""Print owner, mode and, of files, the last change of everything that root alone should decide about, a line each.

snapshot.py [WITHOUT]   leaves out paths that hold the text WITHOUT
"""

import sys
from collections.abc import Iterator
from pathlib import Path

TOPS = (
    "/boot",
    "/etc",
    "/home",
    "/opt",
    "/root",
    "/srv",
    "/usr/bin",
    "/usr/lib/systemd",
    "/usr/local",
    "/usr/sbin",
    "/var/lib/dpkg",
    "/var/spool",
)
# PostgreSQL's own; Ansible's; what only a deployment with other variables writes, which is looked into for secrets.
LEFT_OUT = ("/etc/postgresql/", "/.ansible/", "/__pycache__/", "/etc/pgkeeper/pgbackrest-cloud.conf", "/var/lib/dpkg/lock")


def line(path: Path) -> str:
    """What a path is like."""
    status = path.lstat()
    # The kernel notes each change of content, owner or mode; of a directory also that of an entry, which has a line of its own.
    changed = "" if path.is_dir() and not path.is_symlink() else status.st_ctime_ns
    return f"{path} {status.st_mode:o} {status.st_uid}:{status.st_gid} {changed}"


def below(folder: Path) -> Iterator[Path]:
    """The folder and all that is in it; links are not followed."""
    yield folder
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from below(path)
        else:
            yield path


def main() -> None:
    """Print them all."""
    left_out = LEFT_OUT + tuple(sys.argv[1:])
    for path in (path for top in TOPS for path in below(Path(top))):
        if not any(text in f"{path}/" for text in left_out):
            sys.stdout.write(line(path) + "\n")


if __name__ == "__main__":
    main()
