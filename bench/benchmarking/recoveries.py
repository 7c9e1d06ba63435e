"""The steps that recover the archived cluster beside itself. What they make is a server that goes on; stopping it is not measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from . import comparisons as names
from .archived_cluster import ArchivedCluster
from .calls import Calls, Pgkeeper, as_sample
from .errors import BenchmarkError
from .log_writer import LogWriter
from .measure import Usage, reap
from .results import Sample
from .workspace import Workspace

_ROWS = "SELECT (SELECT count(*) FROM metrics) + (SELECT count(*) FROM posts)"
_MOMENTS = "SELECT coalesce(string_agg(number::text, ',' ORDER BY number), 'none') FROM moments"


@dataclass(frozen=True)
class Recovered:
    """A recovered cluster while it runs: what its recovery took, and how to ask it."""

    usage: Usage
    query: Callable[[str, str], str]


class Recoveries:
    """Each step is a method that recovers, looks whether the right rows are there, and removes what was recovered."""

    def __init__(self, pgkeeper: Pgkeeper, calls: Calls, cluster: ArchivedCluster, workspace: Workspace, database: str) -> None:
        self._pgkeeper = pgkeeper
        self._calls = calls
        self._cluster = cluster
        self._database = database
        self._moment = ""
        self._rows = cluster.query(_ROWS, database)
        workspace.directory("recoveries")
        self._place = workspace.path / "recoveries/cluster"

    def prepare(self, writer: LogWriter, segments: int) -> None:
        """Make a full backup in both repositories, and so much log behind it, with a moment at its end that is archived."""
        cluster = self._cluster
        cluster.query("CREATE TABLE moments (number integer, at timestamptz DEFAULT clock_timestamp())", self._database)
        self.backup()
        cluster.query("INSERT INTO moments VALUES (1)", self._database)
        writer.write(segments)
        cluster.query("INSERT INTO moments VALUES (2)", self._database)
        self._moment = cluster.query("SELECT clock_timestamp()")
        # A recovery ends at the first commit behind its target.
        cluster.query("INSERT INTO moments VALUES (3)", self._database)
        cluster.end_segment()
        cluster.wait_until_archived()

    def backup(self, *options: str) -> None:
        """Make a full backup, outside of all measuring. Raises BenchmarkError."""
        self._cluster.run(self._pgkeeper.arguments("pitr", "backup", "--kind", "full", *options), extra=self._pgkeeper.environment)

    def steps(self) -> dict[str, Callable[[], Sample]]:
        """Return what is measured, by name."""
        return {
            names.RECOVER: lambda: self._step("none", "--immediate"),
            names.RECOVER_OFF_SITE: lambda: self._step("none", "--immediate", "--from", "cloud"),
            names.RECOVER_TO_TIME: lambda: self._step("1,2", "--target-time", self._moment),
        }

    @contextmanager
    def recovered(self, *options: str) -> Iterator[Recovered]:
        """Recover, and leave it running for as long as the block lasts."""
        place = str(self._place)
        usage, _report = self._calls.pgkeeper("pitr", "restore", *options, "--to-dir", place, product=self._place)
        yield Recovered(usage, self._query)
        self._cluster.run(self._pgkeeper.arguments("pitr", "stop", place, "--remove"), extra=self._pgkeeper.environment)
        for pid in usage.left:
            reap(pid)

    def _step(self, moments: str, *options: str) -> Sample:
        with self.recovered(*options) as found:
            for statement, wanted in ((_MOMENTS, moments), (_ROWS, self._rows)):
                if (got := found.query(statement, self._database)) != wanted:
                    raise BenchmarkError(f"pgkeeper pitr restore {' '.join(options)} brought back the wrong rows: {got}, not {wanted}")
            size = int(found.query(f"SELECT pg_database_size('{self._database}')", "postgres"))
        return as_sample(found.usage, size, own=True)

    def _query(self, statement: str, database: str) -> str:
        return self._cluster.query(statement, database, {"PGHOST": str(self._place), "PGPORT": "5432"})
