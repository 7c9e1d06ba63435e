"""`pgkeeper verify`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JobOption, JsonOption, QuietOption, finish, open_door, work
from pgkeeper.cli.options import AgeOption, BackupArgument, DatabasesOption, FromOption, HostOption, WaitOption
from pgkeeper.cli.say import complain, say
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.proof import Level

if TYPE_CHECKING:
    from pgkeeper.operations.verify import VerifyReport


def command(
    backup: BackupArgument = "latest",
    database: DatabasesOption = None,
    level: Annotated[
        Level,
        typer.Option(
            "--level",
            help="checksum: every byte is as written; contents: everything in it is read and compared as well; "
            "restore: it is restored into a throwaway cluster in a sandbox, and what comes out is compared.",
        ),
    ] = "contents",
    source: FromOption = "local",
    host: HostOption = "",
    if_older_than: AgeOption = None,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check that backups are whole: one by its id, or the latest of each database."""
    from pgkeeper.operations.verify import VerifyReport, VerifyRequest, verify

    door = open_door(json=json, quiet=quiet)
    request = VerifyRequest(
        backup=backup,
        source=source,
        host=host,
        databases=tuple(database or ()),
        level=level,
        if_older_than=if_older_than,
        wait=wait or timedelta(),
    )
    report = work(door, "verify", job, VerifyReport, lambda progress: verify(request, door.settings, progress))
    door.show("verify", report, lambda: _show(report))
    for outcome in report.outcomes:
        for warning in outcome.warnings:
            door.warn(f"{outcome.backup_id}: {warning}")
        if outcome.error is not None:
            complain(str(outcome.error))
    for warning in report.warnings:
        door.warn(warning)
    finish(report.exit_status)


def _show(report: "VerifyReport") -> None:
    for outcome in report.outcomes:
        if outcome.status == "done":
            word = "proven" if outcome.level == "restore" else "whole"
            took = format_duration(outcome.seconds)
            content = f", {count(outcome.tables, 'table')}, {count(outcome.rows or 0, 'row')}" if outcome.tables is not None else ""
            say(f"{outcome.backup_id}: {word} ({outcome.level}) in {took}{content}")
            slow = [f"{name} {format_duration(seconds)}" for name, seconds in outcome.phases.items() if seconds >= 0.1]
            if outcome.recovery_seconds is not None:
                say(f"  recovery took {format_duration(outcome.recovery_seconds)}" + (f" ({', '.join(slow)})" if slow else ""))
        elif outcome.status == "skipped":
            say(f"{outcome.backup_id}: skipped, checked recently enough")
