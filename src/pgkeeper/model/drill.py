"""A drill: the whole way back from a bucket, walked and timed, as if the host were lost. What can be said of one without walking it."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

from pgkeeper.model.errors import UsageError
from pgkeeper.model.names import fit_name

Phase = Literal["find", "fetch", "prove", "restore", "listing"]
"""In order. find: the bucket is listed, headers are read and believed. fetch: the copy is downloaded and checked. prove: it is restored
and compared in a sandbox. restore: it is restored into the cluster and compared. listing: the bucket is listed again."""
PHASES: tuple[Phase, ...] = ("find", "fetch", "prove", "restore", "listing")
RECOVERY: tuple[Phase, ...] = ("find", "fetch", "restore")
"""What would have to be waited for if the host were lost: nobody would prove first what he restores at once."""
_STAMP = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"drill-\d{8}T\d{6}Z-[0-9a-f]{6}")
Listing = Mapping[str, tuple[int, datetime]]
"""What a bucket holds, by keys: size, and when it was written."""


def recovery_seconds(phases: Mapping[Phase, float]) -> float | None:
    """Return what a recovery takes that has these phases; None where one of them is missing."""
    if not set(RECOVERY) <= set(phases):
        return None
    return round(sum(phases[phase] for phase in RECOVERY), 3)


def added_up(several: Iterable[Mapping[Phase, float]]) -> dict[Phase, float]:
    """Return the seconds of each phase, of all drills that are given; a phase that none has is left out."""
    total: dict[Phase, float] = {}
    for phases in several:
        for phase, seconds in phases.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return {phase: round(total[phase], 3) for phase in PHASES if phase in total}


def listing_changes(before: Listing, after: Listing) -> tuple[str, ...]:
    """Return what is different between two listings, a line each; nothing when every key, size and time is the same."""
    lines = []
    for key in sorted({*before, *after}):
        if key not in after:
            lines.append(f"{key} is gone")
        elif key not in before:
            lines.append(f"{key} is new")
        elif before[key] != after[key]:
            lines.append(f"{key} was written anew")
    return tuple(lines)


def drill_target(database: str, at: datetime, *, taken: bool) -> str:
    """Return under which name a database is restored in a drill begun at `at`: its own, unless that is `taken`."""
    return fit_name(database, f"_drill_{at.astimezone(UTC):%Y%m%d_%H%M%S}") if taken else database


def new_drill_id(at: datetime, random: str) -> str:
    """Return the id of a drill: `drill-<UTC yyyymmddThhmmssZ>-<random>`, `random` being six hexadecimal digits."""
    return f"drill-{at.astimezone(UTC).strftime(_STAMP)}-{random}"


def require_drill_id(drill_id: str) -> str:
    """Return `drill_id`. Raises UsageError (exit status 2) when it is none: ids are names of files, too."""
    if not _ID.fullmatch(drill_id):
        raise UsageError(f"{drill_id!r} is no drill's id", "", "`pgkeeper drill list` shows them")
    return drill_id
