"""`pgkeeper pitr`: recovery to any second."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JobOption, JsonOption, QuietOption, finish, open_door, work
from pgkeeper.cli.options import WaitOption
from pgkeeper.cli.say import complain, say
from pgkeeper.cli.tables import moment
from pgkeeper.model.durations import format_duration
from pgkeeper.model.physical_backup import BackupKind
from pgkeeper.model.repository import RepositoryName
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.operations.pitr_archiving import Archiving
    from pgkeeper.operations.pitr_backup import PitrBackupReport
    from pgkeeper.operations.pitr_window import RepositoryWindow, WindowReport

app = typer.Typer(help="Recovery to any second, from physical backups and archived log.")


@app.callback()
def _group() -> None:
    """Recovery to any second, from physical backups and archived log."""


@app.command("window")
def window_command(json: JsonOption = False) -> None:
    """Show which moments can be brought back, from where, and what is missing."""
    from pgkeeper.operations.pitr_window import window

    door = open_door(json=json)
    report = window(door.settings)
    door.show("pitr-window", report, lambda: _show_window(report))
    for repository in report.repositories:
        if repository.error is not None:
            complain(str(repository.error))
    for warning in report.warnings:
        door.warn(warning)
    finish(report.exit_status)


@app.command("backup")
def backup_command(
    kind: Annotated[
        BackupKind | None,
        typer.Option("--kind", help="[default: full where the newest full one is a week old, else diff]", show_default=False),
    ] = None,
    to: Annotated[
        RepositoryName | None, typer.Option("--to", help="Only this repository [default: all that are attached].", show_default=False)
    ] = None,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a physical backup, from which recovery can begin."""
    from pgkeeper.operations.pitr_backup import PitrBackupReport, PitrBackupRequest, pitr_backup

    door = open_door(json=json, quiet=quiet)
    request = PitrBackupRequest(kind=kind, to=to, wait=wait or timedelta())
    report = work(door, "pitr-backup", job, PitrBackupReport, lambda progress: pitr_backup(request, door.settings, progress))
    door.show("pitr-backup", report, lambda: _show_backup(report))
    for outcome in report.outcomes:
        for warning in outcome.warnings:
            door.warn(f"{outcome.repository}: {warning}")
        if outcome.error is not None:
            complain(str(outcome.error))
    for warning in report.warnings:
        door.warn(warning)
    finish(report.exit_status)


def _show_backup(report: "PitrBackupReport") -> None:
    for outcome in report.outcomes:
        if (made := outcome.backup) is not None:
            sizes = f"{format_size(made.size_bytes)}, {format_size(made.repository_bytes)} added"
            say(f"{outcome.repository}: {made.kind} backup {made.label} in {format_duration(outcome.seconds)}, {sizes}")


def _show_window(report: "WindowReport") -> None:
    for repository in report.repositories:
        _show_repository(repository)
    _show_archiving(report.archiving)
    for mark in report.marks:
        say(f"mark {mark.name}: {moment(mark.at)}, {mark.lsn} on timeline {mark.timeline}")


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
    say(f"{name}: {len(repository.backups)} backups, {format_size(repository.size_bytes)}{growth}")
    if not repository.spans:
        say("  nothing can be brought back")
    for span in repository.spans:
        end = "" if span.open else ", then a gap"
        say(f"  timeline {span.timeline}: {moment(span.begins_at)} to {moment(span.ends_at)}{end}")
    for gap in repository.gaps:
        segments = f"segment {gap.first_segment} is" if gap.segments == 1 else f"{gap.segments} segments from {gap.first_segment} are"
        after = f"after {moment(gap.after)}" if gap.after else "from the beginning"
        before = f"until {moment(gap.before)}" if gap.before else "until the next backup is made"
        say(f"  timeline {gap.timeline}: gap: {segments} missing: nothing {after} {before} can be brought back")


def _show_archiving(archiving: "Archiving") -> None:
    if archiving.error is not None:
        say(f"archiving: unknown, the server could not be asked: {archiving.error.what}: {archiving.error.why}")
        return
    if archiving.problem:
        say(f"archiving: {archiving.problem}")
    waiting = archiving.lag_segments or 0
    lag = f"{waiting} segments wait for {format_duration(archiving.lag_seconds or 0.0)}" if waiting else "nothing waits"
    last = f", the last one archived at {moment(archiving.last_archived_at)}" if archiving.last_archived_at else ""
    say(f"archiving: {lag}{last}")
    if archiving.data_checksums is False:
        say("data checksums are off: damaged pages go into backups unnoticed")
