"""`pgkeeper restore`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JobOption, JsonOption, QuietOption, open_door, work
from pgkeeper.cli.options import BackupArgument, DatabaseOption, WaitOption
from pgkeeper.cli.say import say
from pgkeeper.cli.tables import moment
from pgkeeper.model.durations import format_duration

if TYPE_CHECKING:
    from pgkeeper.operations.restore import RestoreReport


def command(
    backup: BackupArgument,
    database: DatabaseOption = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="NAME", help="Name of the new database [default: <name>_restored_<time>].", show_default=False),
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id", metavar="ID", help="Makes the request repeatable: the same id again changes nothing.", show_default=False
        ),
    ] = None,
    trust_database: Annotated[
        bool,
        typer.Option("--trust-database", help="Load data as a superuser: the database's own code then runs as one."),
    ] = False,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Restore a backup into a new database beside the original, and compare it with the backup before it is opened."""
    from pgkeeper.operations.restore import RestoreReport, RestoreRequest, restore

    door = open_door(json=json, quiet=quiet)
    request = RestoreRequest(
        backup=backup, database=database, to=to, request_id=request_id, trust_database=trust_database, wait=wait or timedelta()
    )
    report = work(door, "restore", job, RestoreReport, lambda progress: restore(request, door.settings, progress))
    door.show("restore", report, lambda: _show(report))
    for warning in report.warnings:
        door.warn(warning)


def _show(report: "RestoreReport") -> None:
    if not report.changed:
        say(f"{report.database}: nothing to do, this request was done {moment(report.restored_at)} into {report.target}")
        return
    age = format_duration((datetime.now(UTC) - report.created_at).total_seconds())
    say(f"{report.database}: restored into {report.target} in {format_duration(report.seconds)}")
    say(f"  from   {report.backup_id}, {age} old")
    say(f"  equal  {report.tables} tables, {report.rows} rows, sequences, large objects and schema were compared with the backup")
    if report.created_roles:
        say(f"  roles  created: {', '.join(report.created_roles)}")
    slow = [f"{name} {format_duration(seconds)}" for name, seconds in report.phases.items() if seconds >= 0.1]
    if slow:
        say(f"  time   {', '.join(slow)}")
