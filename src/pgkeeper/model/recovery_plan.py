"""The plan of a recovery: which backup it begins with, which timeline it follows, and what PostgreSQL is told.

Everything is said by us: PostgreSQL and pgBackRest would take another backup, the latest timeline, or the end of the log, where what was
asked for cannot be had.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.coverage import Coverage, Span
from pgkeeper.model.errors import RefusedError, UsageError
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.recovery_target import Target, show_time
from pgkeeper.model.wal import parse_lsn

_TO_BE_SURE = timedelta(seconds=1)
"""When a backup ended is known in whole seconds; a target before that very moment is one that PostgreSQL refuses."""


class Plan(BaseModel):
    """A recovery that can be done.

    `settings` are PostgreSQL's, all but restore_command. `ends_at_lsn` is the position at which replaying ends at the latest.
    """

    model_config = ConfigDict(frozen=True)

    repository: int
    backup: str
    timeline: int
    settings: dict[str, str]
    ends_at_lsn: str
    target: Target


def plan_recovery(
    target: Target,
    coverage: Coverage,
    backups: Collection[PhysicalBackup],
    *,
    timeline: int | None = None,
    backup: str | None = None,
    quiet_until: datetime | None = None,
    position: str | None = None,
) -> Plan:
    """Return how the target is reached: on the newest timeline that has it or `timeline`, from the last backup before it or `backup`.

    `position` is where a name or a transaction lies in the log. `quiet_until`: until when it is known that nothing was committed behind the
    last archived commit. Raises UsageError for a timeline or a backup that is not there, RefusedError for a target that can't be had,
    naming the nearest that can.
    """
    spans = _spans(coverage, timeline)
    known = {one.label: one for one in backups}
    if backup is not None and backup not in known:
        raise UsageError(f"there is no backup {backup}", f"there is {', '.join(sorted(known)) or 'none'}", "see `pgkeeper pitr window`")
    chosen = known if backup is None else {backup: known[backup]}
    # Damaged pages come back as they are: only for whoever asks for that backup.
    usable = {label: one for label, one in chosen.items() if one.whole or label == backup}
    for span in spans:
        inside = [usable[label] for label in span.backups if label in usable]
        found = _reach(target, span, inside, quiet_until, position)
        if found is not None:
            begun_with, settings = found
            own = begun_with.timeline if target.kind == "immediate" else span.timeline
            return Plan(
                repository=coverage.repository,
                backup=begun_with.label,
                timeline=own,
                settings={**settings, "recovery_target_timeline": str(own), "recovery_target_action": "promote"},
                ends_at_lsn=begun_with.end_lsn if target.kind == "immediate" else span.log_end_lsn,
                target=target,
            )
        if target.kind == "latest":
            # Never the end of an older timeline instead.
            break
    raise _refusal(target, spans, usable, position)


def _spans(coverage: Coverage, timeline: int | None) -> list[Span]:
    """Return the spans to look into, those of newer timelines and later ones first."""
    spans = [span for span in coverage.spans if timeline in (None, span.timeline)]
    if not spans:
        known = ", ".join(str(one) for one in sorted({span.timeline for span in coverage.spans}))
        if timeline is not None and known:
            raise UsageError(
                f"there is nothing to recover on timeline {timeline}", f"there is timeline {known}", "see `pgkeeper pitr window`"
            )
        raise RefusedError("nothing can be recovered yet", "there is no backup with its log", "make one with `pgkeeper pitr backup`")
    return sorted(spans, key=lambda span: (span.timeline, span.begins_at), reverse=True)


def _reach(
    target: Target, span: Span, backups: Sequence[PhysicalBackup], quiet_until: datetime | None, position: str | None
) -> tuple[PhysicalBackup, dict[str, str]] | None:
    """Return with which backup the target is reached in a span, and by which settings; None where it is not."""
    bound = {"recovery_target_inclusive": "off"} if target.exclusive else {}
    if target.kind == "time" and target.at is not None:
        at = target.at
        begun_with = _last(backups, lambda one: one.stopped_at + _TO_BE_SURE <= at)
        if begun_with is None:
            return None
        # A commit behind the target is what PostgreSQL stops at (recoveryStopsBefore in xlogrecovery.c); without one it ends with an error.
        if at < span.ends_at or (target.exclusive and at == span.ends_at):
            return begun_with, {"recovery_target_time": f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00", **bound}
        quiet = span.open and quiet_until is not None and at <= quiet_until
        return (begun_with, {}) if quiet else None
    if target.kind in ("lsn", "name", "xid"):
        return _reach_position(target, span, backups, target.lsn or position or "", bound)
    begun_with = _last(backups, lambda _one: True)
    if begun_with is None:
        return None
    if target.kind == "immediate":
        return begun_with, {"recovery_target": "immediate"}
    return (begun_with, {}) if span.open else None


def _reach_position(
    target: Target, span: Span, backups: Sequence[PhysicalBackup], position: str, bound: dict[str, str]
) -> tuple[PhysicalBackup, dict[str, str]] | None:
    at = parse_lsn(position)
    begun_with = _last(backups, lambda one: parse_lsn(one.end_lsn) <= at)
    if begun_with is None or at > parse_lsn(span.log_end_lsn):
        return None
    if target.kind == "name":
        return begun_with, {"recovery_target_name": target.name}
    if target.kind == "xid":
        return begun_with, {"recovery_target_xid": str(target.xid), **bound}
    # Behind the last commit there may be no record to stop at, and nothing that would make a difference.
    return begun_with, {"recovery_target_lsn": position, **bound} if at <= parse_lsn(span.end_lsn) else {}


def _last(backups: Sequence[PhysicalBackup], fits: Callable[[PhysicalBackup], bool]) -> PhysicalBackup | None:
    return max((one for one in backups if fits(one)), key=lambda one: parse_lsn(one.end_lsn), default=None)


def _refusal(target: Target, spans: Sequence[Span], usable: dict[str, PhysicalBackup], position: str | None) -> RefusedError:
    what = f"the cluster cannot be recovered to {target.describe()}"
    if target.kind == "latest":
        span = spans[0]
        why = f"a gap in the log ends timeline {span.timeline} after {show_time(span.ends_at, 'UTC')}"
        return RefusedError(what, why, f"the last commit before it comes back with --target-lsn {span.end_lsn} --timeline {span.timeline}")
    nearest = list(_neighbours(target, spans, usable, position))
    return RefusedError(what, "it lies outside of what is archived, or in a gap", "; ".join(nearest) or "see `pgkeeper pitr window`")


def _neighbours(target: Target, spans: Sequence[Span], usable: dict[str, PhysicalBackup], position: str | None) -> Iterator[str]:
    """Yield what can be had just before and just behind the target."""
    wanted = target.lsn or position
    at, lsn = target.at, parse_lsn(wanted) if wanted else None
    ended = [span for span in spans if (at is not None and span.ends_at <= at) or (lsn is not None and parse_lsn(span.log_end_lsn) <= lsn)]
    if ended:
        span = max(ended, key=lambda one: (one.ends_at, one.timeline))
        last = f"the last commit before it, of {show_time(span.ends_at, 'UTC')}, comes back with "
        yield last + (f"--latest --timeline {span.timeline}" if span.open else f"--target-lsn {span.end_lsn} --timeline {span.timeline}")
    begun = [usable[label] for span in spans for label in span.backups if label in usable]
    later = [
        one for one in begun if (at is not None and one.stopped_at + _TO_BE_SURE > at) or (lsn is not None and parse_lsn(one.end_lsn) > lsn)
    ]
    if later:
        first = min(later, key=lambda one: parse_lsn(one.end_lsn))
        moment = first.stopped_at + _TO_BE_SURE
        yield f"the next moment that can be had is {show_time(moment, 'UTC')}, position {first.end_lsn}"
