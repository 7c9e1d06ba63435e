"""The request for a recovery: to which moment, from where; and the plan that follows from what is archived."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pgkeeper.model.errors import OperationFailed, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.model.recovery_plan import Plan, plan_recovery
from pgkeeper.model.recovery_target import Target, make_target, show_time
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.model.timelines import Lineage
from pgkeeper.operations.cluster_in_place import foreign_cluster
from pgkeeper.operations.pitr import pgbackrest, require_attached
from pgkeeper.operations.pitr_coverage import RepositoryContents, read_replayed, repository_contents
from pgkeeper.operations.pitr_search import find
from pgkeeper.operations.places import server
from pgkeeper.operations.production_lineage import production_lineage
from pgkeeper.operations.reports import Message
from pgkeeper.pgbackrest.archive_has import archive_has
from pgkeeper.postgres.archiver import end_segment
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import Session, told
from pgkeeper.settings import Settings

_ARCHIVED_SECONDS = 120
_POLL_SECONDS = 0.5
_ZONE = "SELECT setting AS zone FROM pg_file_settings WHERE lower(name) = 'timezone' AND applied ORDER BY seqno DESC LIMIT 1"


class RecoveryWish(Message):
    """What a person asks for: one of `time`, `name`, `xid`, `lsn`, `immediate` (the backup's own end) and `latest` (the end of the log).

    `exclusive` stops just before the target. `source` is the repository; `timeline` and `backup` are chosen where they are not given.
    """

    time: str | None = None
    name: str | None = None
    xid: int | None = None
    lsn: str | None = None
    immediate: bool = False
    latest: bool = False
    exclusive: bool = False
    source: RepositoryName = "local"
    timeline: int | None = None
    backup: str | None = None


@dataclass(frozen=True)
class Understood:
    """A wish and the target that it names. `zone` is production's time zone, in which times are shown; UTC if it can't be asked."""

    wish: RecoveryWish
    target: Target
    zone: str

    def in_words(self, exports: Sequence[str] = (), database: str | None = None) -> str:
        """Return what is asked for; the same words mean the same, however a time was written, and whether production runs or not."""
        wish = self.wish
        words = [self.target.describe(), f"from {wish.source}"]
        words += [f"timeline {wish.timeline}"] if wish.timeline is not None else []
        words += [f"backup {wish.backup}"] if wish.backup is not None else []
        words += [f"with {', '.join(exports)} of database {database}"] if exports else []
        return ", ".join(words)


def understand(wish: RecoveryWish, settings: Settings) -> Understood:
    """Return what a wish means: the one place where a target is made. Raises UsageError for a wish that can't be understood."""
    zone = _zone(settings)
    target = make_target(
        time=wish.time, name=wish.name, xid=wish.xid, lsn=wish.lsn, immediate=wish.immediate, latest=wish.latest,
        exclusive=wish.exclusive, server_zone=zone,
    )  # fmt: skip
    return Understood(wish, target, zone)


@dataclass(frozen=True)
class Planned:
    """A recovery that can be done: the plan, the repository as it was looked at, and production's time zone (UTC if it can't be asked).

    `production` is None where nobody knows on which timeline it is, and `foreign` says if another cluster is in its place.
    """

    plan: Plan
    contents: RepositoryContents
    zone: str
    production: Lineage | None = None
    foreign: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever asked for it should know."""
        followed = f"timeline {self.plan.timeline} is followed"
        found = [self.foreign] if self.foreign else []
        if others := ", ".join(f"--timeline {timeline}" for timeline in self.plan.also_on):
            found.append(f"{followed}; the moment may have other contents with {others}")
        strangers = self.production.strangers(span.timeline for span in self.contents.coverage.spans) if self.production else []
        if self.production and self.production.seen_at and strangers:
            seen = f"on timeline {self.production.timeline} at {show_time(self.production.seen_at, self.zone)}"
            others = ", ".join(f"--timeline {timeline}" for timeline in strangers)
            found.append(f"production cannot be asked where it was, and was seen last {seen}; what may be another server's is at {others}")
        if self.plan.left and self.production:
            found.append(f"{followed}, which production left before that moment: it is on timeline {self.production.timeline} now")
        return tuple(found)


def plan_wish(asked: Understood, settings: Settings, progress: Progress, *, all_read: bool = False) -> Planned:
    """Return how the wish is fulfilled. Production is not needed, but asked for what was committed last, where it runs.

    `all_read`: every segment that will be replayed is read before, so that what would end the recovery on its way is known.

    Raises RefusedError for a moment that can't be had, naming those that can, and what keeps the repository from being looked into.
    """
    wish, target, zone = asked.wish, asked.target, asked.zone
    require_attached(settings, wish.source)
    progress.phase("look at what is archived")
    contents = repository_contents(settings, wish.source)
    production = production_lineage(settings, contents.info.system_identifier, contents.archive.histories)
    quiet_until = None
    if target.at is not None and _lies_behind(target.at, contents, wish.timeline, production):
        quiet_until = _settle(contents, target.at, settings, progress)
        contents = repository_contents(settings, wish.source) if quiet_until else contents
    found = find(target, contents, wish.timeline, production, settings, progress) if target.kind in ("name", "xid") else None

    def plan(contents: RepositoryContents) -> Plan:
        return plan_recovery(
            target, contents.coverage, contents.info.backups, contents.archive.histories,
            timeline=found.timeline if found else wish.timeline, backup=wish.backup, quiet_until=quiet_until,
            position=found.position if found else None, segment_bytes=contents.segment_bytes, production=production,
        )  # fmt: skip

    foreign = foreign_cluster(settings, contents.info.system_identifier)
    planned = Planned(plan(contents), contents, zone, production, foreign)
    while all_read and read_replayed(planned.plan, contents, settings, progress):
        contents = repository_contents(settings, wish.source)
        planned = Planned(plan(contents), contents, zone, production, foreign)
    return planned


def _zone(settings: Settings) -> str:
    """Return the time zone of production's own settings; ours is always UTC."""
    try:
        with server(settings).connect_maintenance() as session, told("asking for the time zone"):
            row = session.execute(_ZONE).fetchone()
            return str(row["zone"]) if row else "UTC"
    except PgkeeperError:
        return "UTC"


def _lies_behind(at: datetime, contents: RepositoryContents, timeline: int | None, production: Lineage | None) -> bool:
    """Tell whether a moment lies behind all that is archived of the timeline that production writes. The others get no more."""
    written = [span for span in contents.coverage.spans if span.open and (production is None or span.timeline == production.timeline)]
    newest = max(written, key=lambda span: span.timeline, default=None)
    return newest is not None and timeline in (None, newest.timeline) and at >= newest.ends_at


def _settle(contents: RepositoryContents, at: datetime, settings: Settings, progress: Progress) -> datetime | None:
    """Have everything archived that was committed until now, and return until when that is.

    None where production is not there to be asked, is another cluster, or has not reached the moment. Raises OperationFailed when the
    log does not arrive.
    """
    try:
        session = server(settings).connect_maintenance()
    except PgkeeperError:
        return None
    with session, told("asking for what was committed last"):
        found = identify(session)
        now = _now(session)
        if found.standby or found.system_identifier != contents.info.system_identifier or at > now:
            return None
        progress.phase("wait for the log to be archived")
        segment = end_segment(session, "pgkeeper: before a recovery")
    deadline = time.monotonic() + _ARCHIVED_SECONDS
    program = pgbackrest(settings)
    while not archive_has(program, number_of(contents.name), contents.info.archive_id, segment):
        if time.monotonic() > deadline:
            raise OperationFailed(
                f"segment {segment} was not archived within {_ARCHIVED_SECONDS} s",
                "what was committed last is not in the repository",
                "`pgkeeper pitr check` says what is wrong; or recover to a moment before that",
            )
        time.sleep(_POLL_SECONDS)
    return now


def _now(session: Session) -> datetime:
    row = session.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None
    now = row["now"]
    assert isinstance(now, datetime)
    return now
