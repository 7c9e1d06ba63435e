"""Which timelines a recovery may follow: production's own before all others, and those that production never was on only if asked for."""

from collections.abc import Mapping

from pgkeeper.model.coverage import Coverage
from pgkeeper.model.timelines import Leg, Lineage, leads_alike, way_to


class TimelineChoice:
    """The timelines of one repository; `production` is None where nobody knows where it is, `wished` the number that was asked for.

    `newest` is where production is. Its log may not be archived yet; nothing leads to its end then.
    """

    def __init__(self, coverage: Coverage, histories: Mapping[int, str], production: Lineage | None, wished: int | None) -> None:
        self._histories = histories
        self._production = production
        self._wished = wished
        archived = (*coverage.begun, *(span.timeline for span in coverage.spans))
        self.newest = production.timeline if production else max(archived, default=1)
        self._highest = max(self.newest, *histories, *archived, 1)

    def way(self, timeline: int) -> tuple[Leg, ...]:
        """Return the way to the end of a timeline that has a span."""
        return way_to(timeline, self._histories.get(timeline, ""))

    def rank(self, timeline: int) -> tuple[bool, int]:
        """Return what is largest for the timeline to prefer: production's, and then the newest."""
        return timeline == self.newest, timeline

    def is_meant(self, timeline: int) -> bool:
        """Tell whether a timeline is the one that was asked for, or else one that production was on."""
        if self._wished is not None or self._production is None:
            return self._wished in (None, timeline)
        # Another server may have taken its number, and have been the first to archive a history for it.
        is_productions = timeline == self._production.timeline and timeline in self._histories
        return timeline in self._production.known and not (is_productions and self.way(timeline) != self._production.way)

    def is_ahead_of(self, older: int, timeline: int, position: int) -> bool:
        """Tell whether the way to a timeline goes over an older one, and up to a position as the way to that one does.

        A recovery along the older one must take a number that is free: PostgreSQL takes the first above it without a history.
        """
        way = self.way(timeline)
        is_on_it = any(leg.timeline == older for leg in way[:-1])
        return is_on_it and leads_alike(self.way(older), way, position) and self._is_numbered(older)

    def is_left(self, timeline: int, position: int | None) -> bool:
        """Tell whether a position on the way to a timeline, None for its end, lies off production's, and nobody asked for that timeline."""
        if self._production is None or self._wished is not None or timeline == self._production.timeline:
            return False
        return position is None or not leads_alike(self.way(timeline), self._production.way, position)

    def _is_numbered(self, timeline: int) -> bool:
        return all(number in self._histories for number in range(timeline + 1, self._highest + 1))
