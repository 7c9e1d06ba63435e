"""Whether expiry may believe the clock: after a jump, or when it knows nothing of the past, it removes nothing for a day.

Expiry judges ages by the clock, and a wrong clock makes everything look old. So it remembers when it last looked. A step that no timetable
explains begins a settling time, in which somebody can notice.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pgkeeper.model.durations import format_duration

SETTLING = timedelta(hours=24)
"""So long nothing is removed after the clock was last in doubt."""
FORWARD = timedelta(days=3)
"""A longer time since the last look is a jump of the clock, or a host that was off."""
BACKWARD = timedelta(hours=1)
"""A larger step back is a jump; smaller ones are made by whoever keeps the clock right."""


@dataclass(frozen=True)
class Look:
    """What expiry remembers: when it last looked, since when the clock goes steadily, and what had been in doubt before (`reason`)."""

    seen_at: datetime
    trusted_since: datetime
    reason: str

    @property
    def settled_at(self) -> datetime:
        """Return from when on something may be removed."""
        return self.trusted_since + SETTLING

    def held_back(self, now: datetime) -> str:
        """Return why nothing may be removed at `now`, and until when; empty when something may."""
        if now >= self.settled_at:
            return ""
        return f"{self.reason}; nothing is removed before {self.settled_at:%Y-%m-%d %H:%M} UTC"


def look(before: Look, now: datetime) -> Look:
    """Return what is remembered after a look at `now`, given what was remembered `before`."""
    passed = now - before.seen_at
    if passed > FORWARD:
        reason = f"the clock was set forward, or expiry did not run for {format_duration(passed.total_seconds())}"
        return begin(now, reason)
    if -passed > BACKWARD:
        return begin(now, f"the clock was set back by {format_duration(-passed.total_seconds())}")
    return Look(now, before.trusted_since, before.reason)


def begin(now: datetime, reason: str) -> Look:
    """Return a look that begins a settling time because of `reason`."""
    return Look(now, now, reason)
