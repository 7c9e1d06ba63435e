"""Telling whether a place lies in another one, whatever links and mounts lead there."""

from collections.abc import Iterable
from pathlib import Path

from pgkeeper.host.mounts import place_of


def lies_in(place: Path, others: Iterable[Path]) -> Path | None:
    """Return the first of `others` that `place`, which may not exist yet, is or lies in; None when it lies apart from all."""
    return next((other for other in others if _within(place.resolve(), other.resolve())), None)


def _within(place: Path, other: Path) -> bool:
    if other in (place, *place.parents):
        return True
    # The same directory may be mounted under another name.
    one, two = place_of(place), place_of(other)
    return one is not None and two is not None and one[0] == two[0] and two[1] in (one[1], *one[1].parents)
