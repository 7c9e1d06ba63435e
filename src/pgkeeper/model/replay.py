"""How far the replay of the log is, and where it probably ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment


@dataclass(frozen=True)
class Replay:
    """A stretch of log that is replayed: from where the backup begins to a position that it probably reaches, and hardly passes."""

    begin: int
    end: int
    segment_bytes: int = DEFAULT_SEGMENT_BYTES

    def done(self, segment: str) -> tuple[int, int]:
        """Return bytes done, and bytes in all, when it has come to a segment. Raises ValueError for what is no segment's name."""
        done = max(Segment.parse(segment, self.segment_bytes).begin(self.segment_bytes) - self.begin, 0)
        return done, max(self.end - self.begin, done)


def replay_to_time(
    begin: int, end: int, at: datetime, archived: Iterable[tuple[Segment, datetime]], segment_bytes: int = DEFAULT_SEGMENT_BYTES
) -> Replay:
    """Return the replay to a time, which lies before `end`: to the first segment that was archived then or later.

    When a commit was made is known of few segments; when they were archived, of all. One that was archived late makes it look too short.
    """
    later = (segment.begin(segment_bytes) + segment_bytes for segment, when in archived if when >= at)
    return Replay(begin, min((position for position in later if position > begin and position < end), default=end), segment_bytes)
