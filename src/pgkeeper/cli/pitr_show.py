"""Showing what `pgkeeper pitr` found, for people."""

from typing import TYPE_CHECKING

from pgkeeper.cli.say import say
from pgkeeper.cli.tables import moment
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.operations.pitr_archiving import Archiving
    from pgkeeper.operations.pitr_attach import AttachReport
    from pgkeeper.operations.pitr_backup import PitrBackupOutcome, PitrBackupReport
    from pgkeeper.operations.pitr_check import PitrCheckReport
    from pgkeeper.operations.pitr_expire import PitrExpireReport
    from pgkeeper.operations.pitr_verify import PitrVerifyReport
    from pgkeeper.operations.pitr_window import RepositoryWindow, WindowReport


def show_check(report: "PitrCheckReport", *, quiet: bool) -> None:
    """Say how the check went, as far as that is no problem."""
    if report.seconds is not None and not quiet:
        say(f"segment {report.segment} was archived in {format_duration(report.seconds)}")
    if report.hours_until_full is not None:
        say(f"the disk of the log is full in about {format_duration(report.hours_until_full * 3600)}")


def show_verify(report: "PitrVerifyReport") -> None:
    """Say what is whole, and what was not looked at."""
    for outcome in report.outcomes:
        reason = f": {outcome.reason}" if outcome.reason else ""
        if outcome.status in ("whole", "skipped"):
            say(f"{outcome.subject} {outcome.name}: {outcome.status}{reason}")


def show_expire(report: "PitrExpireReport") -> None:
    """Say what went, or would go."""
    would = "would go" if report.dry_run else "removed"
    for outcome in report.outcomes:
        if outcome.error is None:
            log = ", ".join(f"{first} to {last}" for first, last in outcome.log) or "none"
            say(f"{outcome.repository}: backups {would}: {', '.join(outcome.backups) or 'none'}; log {would}: {log}")


def show_attach(report: "AttachReport") -> None:
    """Say what was attached."""
    say(f"repository {report.repository}: {'attached' if report.changed else 'was attached already'}")
    if report.backup is not None:
        _show_outcome(report.backup)


def show_backup(report: "PitrBackupReport") -> None:
    """Say what was made."""
    for outcome in report.outcomes:
        _show_outcome(outcome)


def _show_outcome(outcome: "PitrBackupOutcome") -> None:
    if (made := outcome.backup) is not None:
        sizes = f"{format_size(made.size_bytes)}, {format_size(made.repository_bytes)} added"
        say(f"{outcome.repository}: {made.kind} backup {made.label} in {format_duration(outcome.seconds)}, {sizes}")


def show_window(report: "WindowReport") -> None:
    """Say what can be brought back."""
    for repository in report.repositories:
        _show_repository(repository)
    _show_archiving(report.archiving)
    for mark in report.marks:
        say(f"mark {mark.name}: {moment(mark.at)}, {mark.lsn} on timeline {mark.timeline}")
    if report.left:
        say(f"left by recoveries: {', '.join(report.left)}; `pgkeeper pitr list` says more")


def _show_repository(repository: "RepositoryWindow") -> None:
    name = repository.repository
    if repository.error is not None:
        say(f"{name}: could not be looked into")
        return
    if not repository.attached:
        since = f" since {moment(repository.detached_since)}" if repository.detached_since else ""
        say(f"{name}: detached{since}; nothing is written there")
        return
    rate = repository.added_bytes_per_day
    growth = f", {format_size(rate)} a day come in" if rate is not None else ""
    backups = count(len(repository.backups), "backup")
    say(f"{name}: {backups}, {format_size(repository.size_bytes)}{growth}")
    if not repository.spans:
        say("  nothing can be brought back")
    for span in repository.spans:
        behind = (one for one in repository.barriers if (one.timeline, one.after) == (span.timeline, span.ends_at))
        end = "" if span.open else ", then wal_level was minimal" if any(behind) else ", then a gap"
        say(f"  timeline {span.timeline}: {moment(span.begins_at)} to {moment(span.ends_at)}{end}")
    for gap in repository.gaps:
        segments = f"segment {gap.first_segment} is" if gap.segments == 1 else f"{gap.segments} segments from {gap.first_segment} are"
        after = f"after {moment(gap.after)}" if gap.after else "from the beginning"
        before = f"until {moment(gap.before)}" if gap.before else "until the next backup is made"
        say(f"  timeline {gap.timeline}: gap: {segments} missing: nothing {after} {before} can be brought back")
    for barrier in repository.barriers:
        before = f"until {moment(barrier.before)}" if barrier.before else "until the next backup is made"
        after = f"after {moment(barrier.after)}" if barrier.after else "from the beginning"
        say(f"  timeline {barrier.timeline}: started with wal_level=minimal at {barrier.lsn}: nothing {after} {before} can be brought back")
    if repository.proven is None and repository.spans:
        say("  never recovered to prove it: `pgkeeper pitr verify --restore`")
    elif (proven := repository.proven) is not None:
        say(f"  proven {moment(proven.proven_at)}: recovered from {proven.backup} in {format_duration(proven.seconds)}")


def _show_archiving(archiving: "Archiving") -> None:
    if archiving.error is not None:
        say(f"archiving: unknown, the server could not be asked: {archiving.error.what}: {archiving.error.why}")
        return
    if archiving.problem:
        say(f"archiving: {archiving.problem}")
    waiting = archiving.lag_segments or 0
    lag = (
        f"{count(waiting, 'segment waits', 'segments wait')} for {format_duration(archiving.lag_seconds or 0.0)}"
        if waiting
        else "nothing waits"
    )
    last = f", the last one archived at {moment(archiving.last_archived_at)}" if archiving.last_archived_at else ""
    say(f"archiving: {lag}{last}")
    if archiving.data_checksums is False:
        say("data checksums are off: damaged pages go into backups unnoticed")
