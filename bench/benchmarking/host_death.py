"""What is lost when the host dies: everything of the cluster's is killed at once, and only the repository off site is left.

What is lost depends on the moment. The worst is just before a segment arrives that archive_timeout ended: all that it holds is lost, and
what was committed while it was on its way.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from .archived_cluster import ArchivedCluster
from .errors import BenchmarkError
from .log_writer import few_rows
from .recoveries import Recoveries
from .results import Death, HostDeath, Spread
from .user import as_postgres

ARCHIVE_TIMEOUT_SECONDS = 10
# Of the time that a push takes: so long after the segment's end the host dies. Behind that it may have arrived.
_MOMENTS = (0.0, 0.25, 0.5)
_EACH_SECONDS = 0.05
_BEFORE = 10
_POLL_SECONDS = 0.002
# Together with what is copied each time, about 12 MB in ten seconds: the segment that archive_timeout ends is nearly full.
_ROWS = 80
_COMMIT = "WITH copied AS ({few_rows}) INSERT INTO commits SELECT {number}, clock_timestamp() RETURNING number;\n"
_RECOVERED = "SELECT count(*), coalesce(max(number), 0), coalesce(extract(epoch FROM max(at)), 0) FROM commits"


def measure_host_deaths(cluster: ArchivedCluster, recoveries: Recoveries, push: Spread, database: str) -> HostDeath:
    """Let the host die three times, and return what was lost. `push`: how many seconds a segment takes to be archived.

    Raises BenchmarkError when something is lost that was archived, or anything fails.
    """
    cluster.query("CREATE TABLE commits (number integer PRIMARY KEY, at timestamptz)", database)
    cluster.tell("archive_timeout", str(ARCHIVE_TIMEOUT_SECONDS))
    recoveries.backup("--to", "cloud")
    deaths = []
    for moment in _MOMENTS:
        deaths.append(_one(cluster, recoveries, moment * push.median, database))
        cluster.start()
        # After a crash PostgreSQL's checkpointer sleeps for up to checkpoint_timeout before it thinks of archive_timeout; this wakes it.
        cluster.settle()
    return HostDeath(ARCHIVE_TIMEOUT_SECONDS, push, tuple(deaths))


def _one(cluster: ArchivedCluster, recoveries: Recoveries, after_seconds: float, database: str) -> Death:
    cluster.query("TRUNCATE commits, written_post_versions", database)
    with _Writer(cluster, database).committing() as writer:
        _wait_until(lambda: len(writer.acknowledged) > _BEFORE, "nothing was committed")
        archived = len(writer.acknowledged)
        cluster.end_segment()
        cluster.wait_until_archived()
        _wait_until(lambda: bool(cluster.waiting()), "archive_timeout passed, and no segment was ended")
        time.sleep(after_seconds)
        at = cluster.die()
    with cluster.lost(), recoveries.recovered("--latest", "--from", "cloud") as found:
        count, last, last_at = found.query(_RECOVERED, database).split("|")
    recovered = int(last)
    if int(count) != recovered or recovered < archived:
        raise BenchmarkError(f"{count} of {recovered} commits were brought back, and at least {archived} were archived")
    lost = sum(number > recovered for number in writer.acknowledged)
    return Death(round(at - float(last_at), 4), lost, round(found.usage.wall_seconds, 4))


def _wait_until(happened: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 3 * ARCHIVE_TIMEOUT_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise BenchmarkError(otherwise)
        time.sleep(_POLL_SECONDS)


class _Writer:
    """A session that commits twenty times a second and notes what was acknowledged: numbers, from 1."""

    def __init__(self, cluster: ArchivedCluster, database: str) -> None:
        self.acknowledged: list[int] = []
        self._over = Event()
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", str(cluster.binaries / "psql"), "-X", "-q", "-A", "-t", "-d", database],
            **as_postgres(),
            cwd="/",
            env=cluster.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._thread = Thread(target=self._write)

    @contextmanager
    def committing(self) -> Iterator[_Writer]:
        """Commit for as long as the block lasts, or the server."""
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._process.kill()
            self._thread.join()
            with suppress(BrokenPipeError):
                self._process.communicate()

    def _write(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        number = 0
        while not self._over.wait(_EACH_SECONDS):
            number += 1
            try:
                self._process.stdin.write(_COMMIT.format(few_rows=few_rows(number, _ROWS), number=number))
            except BrokenPipeError:
                return
            if not self._process.stdout.readline():
                return
            self.acknowledged.append(number)
