"""`pgkeeper restore`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pgkeeper.cli.door import Door, JobOption, JsonOption, QuietOption, open_door, work
from pgkeeper.cli.options import BackupArgument, DatabaseOption, FromOption, HostOption, WaitOption
from pgkeeper.cli.say import say
from pgkeeper.cli.tables import moment
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import UsageError
from pgkeeper.model.shell import quoted

if TYPE_CHECKING:
    from pgkeeper.operations.replace import ReplaceReport
    from pgkeeper.operations.restore import RestoreReport
    from pgkeeper.operations.undo import UndoReport


def command(
    backup: BackupArgument = "",
    database: DatabaseOption = None,
    source: FromOption = "local",
    host: HostOption = "",
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="NAME", help="Name of the new database [default: <name>_restored_<time>].", show_default=False),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of the original, which is kept beside.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last --replace; what was written since is kept beside.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish or undo a --replace or --undo that was interrupted.")] = False,
    confirm: Annotated[
        str, typer.Option("--confirm", metavar="RESTORE", help="The word RESTORE, for --replace and --undo.", show_default=False)
    ] = "",
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id", metavar="ID", help="Makes the request repeatable: the same id again changes nothing.", show_default=False
        ),
    ] = None,
    trust_database: Annotated[
        bool,
        typer.Option("--trust-database", help="Let superusers restore everything: the database's own code then runs as one."),
    ] = False,
    globals_mode: Annotated[
        Literal["missing", "all", "none"],
        typer.Option("--globals", help="Roles of the backup: create missing ones, make all as they were, or touch none."),
    ] = "missing",
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Restore a backup into a new database beside the original, and compare it with the backup before it is opened.

    With --replace it then takes the original's place, which stops the application for about a second.
    """
    if sum((to is not None, replace, undo, resume)) > 1:
        raise UsageError("--to, --replace, --undo and --resume exclude one another", "", "choose one; see pgkeeper restore --help")
    if backup and (undo or resume):
        raise UsageError(
            "--undo and --resume take no backup", backup, "say --database where several were replaced; see pgkeeper restore --help"
        )
    if not backup and not (undo or resume):
        raise UsageError("say which backup", "an id, or latest", "`pgkeeper list` shows them; see pgkeeper restore --help")
    door = open_door(json=json, quiet=quiet)
    patience = wait or timedelta()
    in_general: dict[str, Any] = {"database": database, "request_id": request_id, "wait": patience}
    of_backup: dict[str, Any] = {
        "backup": backup,
        "source": source,
        "host": host,
        "trust_database": trust_database,
        "globals_mode": globals_mode,
    }
    if resume:
        _resume(door, patience)
    elif undo:
        from pgkeeper.operations.undo import UndoReport
        from pgkeeper.operations.undo import undo as run_undo
        from pgkeeper.operations.undo_request import UndoRequest

        going_back = UndoRequest(confirmation=confirm, **in_general)
        undone = work(door, "restore", job, UndoReport, lambda progress: run_undo(going_back, door.settings, progress))
        door.show("undo", undone, lambda: _show_undone(undone))
        _warn(door, undone.warnings)
    elif replace:
        from pgkeeper.operations.replace import ReplaceReport
        from pgkeeper.operations.replace import replace as run_replace
        from pgkeeper.operations.replace_request import ReplaceRequest

        wanted = ReplaceRequest(confirmation=confirm, **in_general, **of_backup)
        replaced = work(door, "restore", job, ReplaceReport, lambda progress: run_replace(wanted, door.settings, progress))
        door.show("replace", replaced, lambda: _show_replaced(replaced))
        _warn(door, replaced.warnings)
    else:
        from pgkeeper.operations.restore import RestoreReport, RestoreRequest, restore

        request = RestoreRequest(to=to, **in_general, **of_backup)
        report = work(door, "restore", job, RestoreReport, lambda progress: restore(request, door.settings, progress))
        door.show("restore", report, lambda: _show(report))
        _warn(door, report.warnings)


def _resume(door: Door, wait: timedelta) -> None:
    from pgkeeper.operations.resume import resume

    with door.progress() as progress:
        report = resume(door.settings, progress, wait)
    door.show("resume", report, lambda: say("\n".join(report.settled) or "There is nothing to resume."))


def _warn(door: Door, warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        door.warn(warning)


def _show_replaced(report: "ReplaceReport") -> None:
    if not report.changed:
        say(f"{report.database}: nothing to do, this request was done {moment(report.replaced_at)}")
        return
    age = format_duration((report.replaced_at - report.created_at).total_seconds())
    say(f"{report.database}: replaced in {format_duration(report.seconds)}, down for {format_duration(report.downtime_seconds)}")
    say(f"  from   {report.backup_id}, {age} old")
    say(f"  equal  {_compared(report)}")
    say(f"  kept   {report.kept_as}, as it was; and its backup {report.pre_restore_backup}")
    say(f"  back   pgkeeper restore --undo --database {quoted(report.database)} --confirm RESTORE")


def _show_undone(report: "UndoReport") -> None:
    if not report.changed:
        say(f"{report.database}: nothing to do, this request was done {moment(report.undone_at)}")
        return
    say(
        f"{report.database}: as it was before, after {format_duration(report.seconds)}, down for {format_duration(report.downtime_seconds)}"
    )
    say(f"  kept   {report.kept_as}, with what was written since; only superusers may enter it")


def _show(report: "RestoreReport") -> None:
    if not report.changed:
        say(f"{report.database}: nothing to do, this request was done {moment(report.restored_at)} into {report.target}")
        return
    age = format_duration((datetime.now(UTC) - report.created_at).total_seconds())
    say(f"{report.database}: restored into {report.target} in {format_duration(report.seconds)}")
    say(f"  from   {report.backup_id}, {age} old")
    say(f"  equal  {_compared(report)}")
    if report.created_roles:
        say(f"  roles  created: {', '.join(report.created_roles)}")
    slow = [f"{name} {format_duration(seconds)}" for name, seconds in report.phases.items() if seconds >= 0.1]
    if slow:
        say(f"  time   {', '.join(slow)}")


def _compared(report: "RestoreReport | ReplaceReport") -> str:
    tables, rows = count(report.tables, "table"), count(report.rows, "row")
    return f"{tables}, {rows}, sequences, large objects and schema were compared with the backup"
