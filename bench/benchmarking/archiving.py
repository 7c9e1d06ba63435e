"""How fast log that waits gets into both repositories, and how long one segment takes."""

from __future__ import annotations

import time

from .archived_cluster import ArchivedCluster
from .log_writer import LogWriter
from .results import Archiving, Spread, spread

_PUSHES = 5


def measure_archiving(cluster: ArchivedCluster, writer: LogWriter, segments: int) -> Archiving:
    """Let so many segments wait, or a few more, and return how long archiving them took. Raises BenchmarkError.

    With an empty command PostgreSQL keeps its log, as it does while a bucket is down, and does not count it as failed.
    """
    cluster.tell("archive_command", "")
    writer.write(segments)
    last = cluster.end_segment()
    cluster.settle()
    waiting = len(cluster.waiting())
    began = time.monotonic()
    cluster.tell("archive_command", None)
    cluster.wait_until_archived()
    seconds = time.monotonic() - began
    cluster.require_archived(last)
    return Archiving(waiting, round(seconds, 4))


def measure_push(cluster: ArchivedCluster, writer: LogWriter) -> Spread:
    """Return how many seconds it takes from the end of a segment that is full of rows until both repositories have it."""
    found = []
    for _ in range(_PUSHES):
        writer.fill()
        cluster.settle()
        cluster.wait_until_archived()
        began = time.monotonic()
        cluster.end_segment()
        cluster.wait_until_archived()
        found.append(round(time.monotonic() - began, 4))
    return spread(found)
