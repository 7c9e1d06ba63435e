"""Holding a program to a few places of this host: it reads everything, and writes nowhere else.

Bubblewrap mounts the rest read-only, for that program and whatever it starts, without any privilege; the kernel sees to it from then on.
Unlike what is in a sandbox, the program is one of the host's processes, talks to others, and goes on when we end.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pgkeeper.host.processes import run
from pgkeeper.host.sandbox import bubblewrap
from pgkeeper.model.errors import PgkeeperError

_TRY_SECONDS = 20


def confinement_problem() -> str:
    """Return why programs cannot be confined on this host, found out by trying; empty where they can."""
    if bubblewrap() is None:
        return "bwrap (package bubblewrap) is missing"
    try:
        run(confined(["/usr/bin/true"], ()), {}, timeout=_TRY_SECONDS)
    except PgkeeperError as error:
        return error.why or error.what
    return ""


def confined(arguments: Sequence[str | Path], writable: Iterable[Path], instead: Mapping[Path, Path] | None = None) -> list[str | Path]:
    """Return the command line by which a program can write to nothing but `writable`, and devices.

    `instead` maps places to others of ours, which the program finds in their stead, and may write to. All of them must exist.
    """
    binds = [(path.resolve(), path.resolve()) for path in writable]
    binds += [(ours.resolve(), place.resolve()) for place, ours in (instead or {}).items()]
    mounts = [word for ours, place in binds for word in ("--bind", ours, place)]
    return [bubblewrap() or "bwrap", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", *mounts, "--", *arguments]
