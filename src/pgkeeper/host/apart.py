"""Telling whether a place lies in another one, whatever links and mounts lead there."""

from collections.abc import Iterable
from pathlib import Path


def lies_in(place: Path, others: Iterable[Path]) -> Path | None:
    """Return the first of `others` that `place`, which may not exist yet, is or lies in; None when it lies apart from all.

    Links are followed, and directories are compared as the file system knows them, so that another name of the same one is noticed.
    """
    real = place.resolve()
    above = [path for path in (real, *real.parents) if path.exists()]
    for other in others:
        if other.exists() and any(path.samefile(other) for path in above):
            return other
    return None
