"""A control group for each host, where no systemd of this machine gives it one.

Two systemds in the same groups would see, and wait for, each other's processes.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from testbed.commands import HostsFailed

SECONDS_TO_EMPTY = 15
MOUNTS = Path("/proc/self/mounts")
# Moves itself into the groups before "--", then becomes the command after it.
ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'


def hierarchies(mounts: str) -> list[Path]:
    """Return where systemd keeps its groups, of what is mounted: version 2, and version 1's tree of names."""
    found = []
    for line in mounts.splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(where))
    return found


def entering(name: str, command: list[str]) -> list[str]:
    """Make the groups of this name; return the command that runs in them."""
    groups = [hierarchy / name for hierarchy in hierarchies(MOUNTS.read_text(encoding="utf-8"))]
    for group in groups:
        group.mkdir()
    return ["sh", "-c", ENTER, "sh", *map(str, groups), "--", *command]


def end(names: str) -> None:
    """End all that is in the groups of these names, which may hold a `*`, and remove them."""
    deadline = time.monotonic() + SECONDS_TO_EMPTY
    for hierarchy in hierarchies(MOUNTS.read_text(encoding="utf-8")):
        for group in hierarchy.glob(names):
            while not _removed(group):
                _kill(group)
                if time.monotonic() > deadline:
                    raise HostsFailed(f"{group} still has processes: see its cgroup.procs")
                time.sleep(0.1)


def _kill(group: Path) -> None:
    for procs in group.rglob("cgroup.procs"):
        with suppress(OSError):  # the group, or the process, is gone meanwhile
            for process in map(int, procs.read_text(encoding="ascii").split()):
                if process > 1:  # 0 is one that cannot be seen from here
                    os.kill(process, signal.SIGKILL)


def _removed(group: Path) -> bool:
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    except OSError:
        return False
    return not group.exists()
