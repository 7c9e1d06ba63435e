"""Whether a server's log gets into its archive."""

import time
from datetime import timedelta
from typing import NamedTuple

from pgkeeper.model.wal import Segment
from pgkeeper.postgres.archiver import end_segment
from pgkeeper.postgres.server import Server, told

_POLL_SECONDS = 0.2
_SETTINGS = "SELECT current_setting('archive_mode') AS mode, pg_size_bytes(current_setting('wal_segment_size')) AS segment_bytes"
_STATE = """
SELECT last_archived_wal, last_failed_wal, last_failed_time > coalesce(last_archived_time, '-infinity') AS failing FROM pg_stat_archiver
"""


class Archiving(NamedTuple):
    """The segment that was just ended, and what is wrong when it did not arrive."""

    segment: str
    problem: str = ""

    @property
    def arrived(self) -> bool:
        """Whether the segment is in the archive."""
        return not self.problem


def archives(server: Server, wait: timedelta) -> Archiving:
    """End the segment that is being written, and wait for it to be archived. Raises OperationFailed when the server can't be asked."""
    with server.connect_maintenance() as session, told("asking whether the log is archived"):
        row = session.execute(_SETTINGS).fetchone()
        if row is None or row["mode"] == "off":
            return Archiving("", "archive_mode is off")
        segment = end_segment(session, "pgkeeper: is the log archived?")
        wanted = Segment.parse(segment, row["segment_bytes"])
        deadline = time.monotonic() + wait.total_seconds()
        while True:
            state = session.execute(_STATE).fetchone()
            assert state is not None
            if _number(state["last_archived_wal"], row["segment_bytes"]) >= (wanted.timeline, wanted.number):
                return Archiving(segment)
            if time.monotonic() > deadline:
                failing = f"the last attempt, of {state['last_failed_wal']}, failed" if state["failing"] else "nothing happened"
                return Archiving(segment, f"{failing} within {wait.total_seconds():.0f} s")
            time.sleep(_POLL_SECONDS)


def _number(name: str | None, segment_bytes: int) -> tuple[int, int]:
    try:
        segment = Segment.parse(name or "", segment_bytes)
    except ValueError:
        # A history file comes before all segments of its timeline.
        return (0, 0)
    return segment.timeline, segment.number
