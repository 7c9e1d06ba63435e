"""`pgkeeper backup`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import Door, JobOption, JsonOption, QuietOption, finish, open_door, work
from pgkeeper.cli.options import AgeOption, DatabasesOption, WaitOption
from pgkeeper.cli.say import complain, say
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.operations.backup import BackupReport


def command(
    database: DatabasesOption = None,
    test: Annotated[bool, typer.Option("--test", help="Do everything for real, keep nothing.")] = False,
    if_older_than: AgeOption = None,
    wait: WaitOption = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take over a place that belongs to another machine or cluster.")] = False,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Back up databases: all that settings name, or those given."""
    from pgkeeper.operations.backup import BackupReport, BackupRequest, backup

    door = open_door(json=json, quiet=quiet)
    request = BackupRequest(databases=tuple(database or ()), test=test, if_older_than=if_older_than, wait=wait or timedelta(), adopt=adopt)
    report = work(door, "backup", job, BackupReport, lambda progress: backup(request, door.settings, progress))
    door.show("backup", report.model_copy(), lambda: _show(report))
    _complain(door, report)
    finish(report.exit_status)


def _show(report: "BackupReport") -> None:
    for outcome in report.outcomes:
        if outcome.status == "done":
            say(
                f"{outcome.database}: {'backed up' if report.kept else 'tested'} in {format_duration(outcome.seconds)}, "
                f"{format_size(outcome.database_bytes or 0)} -> {format_size(outcome.size_bytes or 0)}, "
                f"{count(outcome.tables or 0, 'table')}, {count(outcome.rows or 0, 'row')}"
            )
            say(f"  {outcome.path}" if report.kept else "  nothing was kept, as asked for")
        elif outcome.status == "skipped":
            say(f"{outcome.database}: skipped, {outcome.reason}" + (f" ({outcome.backup_id})" if outcome.backup_id else ""))


def _complain(door: Door, report: "BackupReport") -> None:
    for outcome in report.outcomes:
        for warning in outcome.warnings:
            door.warn(f"{outcome.database}: {warning}")
        if outcome.error is not None:
            complain(str(outcome.error))
    for warning in report.warnings:
        door.warn(warning)
