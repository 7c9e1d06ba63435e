"""`pgkeeper pitr restore` and `pgkeeper pitr stop`."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JobOption, JsonOption, QuietOption, open_door, work
from pgkeeper.cli.options import DatabaseOption, WaitOption
from pgkeeper.cli.say import say
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import UsageError
from pgkeeper.model.repository import RepositoryName

if TYPE_CHECKING:
    from pgkeeper.operations.pitr_restore import PitrRestorePlan, PitrRestoreReport


def restore_command(
    time: Annotated[
        str | None,
        typer.Option(
            "--target-time", metavar="TIME", help="A moment, with its offset or zone: 2026-11-26 12:00:00+01.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--target-name", metavar="NAME", help="A mark (`pgkeeper pitr mark`).", show_default=False)
    ] = None,
    xid: Annotated[int | None, typer.Option("--target-xid", metavar="XID", help="A transaction.", show_default=False)] = None,
    lsn: Annotated[str | None, typer.Option("--target-lsn", metavar="LSN", help="A position in the log.", show_default=False)] = None,
    immediate: Annotated[bool, typer.Option("--immediate", help="The end of the backup itself.")] = False,
    latest: Annotated[bool, typer.Option("--latest", help="The end of what is archived.")] = False,
    exclusive: Annotated[bool, typer.Option("--exclusive", help="Stop just before the target, not behind it.")] = False,
    timeline: Annotated[
        int | None, typer.Option("--timeline", help="[default: the newest that has the target]", show_default=False)
    ] = None,
    backup: Annotated[
        str | None, typer.Option("--backup", metavar="LABEL", help="[default: the last one before the target]", show_default=False)
    ] = None,
    source: Annotated[RepositoryName, typer.Option("--from", help="The repository.")] = "local",
    to_dir: Annotated[
        Path | None, typer.Option("--to-dir", metavar="DIR", help="[default: a new one in BACKUP_PITR_DIR]", show_default=False)
    ] = None,
    exports: Annotated[
        list[str] | None,
        typer.Option(
            "--export", metavar="TABLE", help="Copy a table out into a file; may be repeated. Goes with --database.", show_default=False
        ),
    ] = None,
    database: DatabaseOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Recover the whole cluster to a moment, beside production, which is not touched; and leave it running for a look."""
    from pgkeeper.operations.pitr_request import RecoveryWish
    from pgkeeper.operations.pitr_restore import PitrRestoreReport, PitrRestoreRequest, pitr_restore, plan_pitr_restore

    if to_dir is not None and not to_dir.is_absolute():
        raise UsageError("--to-dir must be an absolute path", str(to_dir))
    if exports and database is None:
        raise UsageError("--export needs --database", "", "say in which database the tables are")
    wish = RecoveryWish(
        time=time, name=name, xid=xid, lsn=lsn, immediate=immediate, latest=latest, exclusive=exclusive,
        source=source, timeline=timeline, backup=backup,
    )  # fmt: skip
    request = PitrRestoreRequest(wish=wish, to_dir=to_dir, exports=tuple(exports or ()), database=database, wait=wait or timedelta())
    door = open_door(json=json, quiet=quiet)
    if dry_run:
        with door.progress() as progress:
            plan = plan_pitr_restore(request, door.settings, progress)
        door.show("pitr-restore-plan", plan, lambda: _show_plan(plan))
        return
    report = work(door, "pitr-restore", job, PitrRestoreReport, lambda progress: pitr_restore(request, door.settings, progress))
    door.show("pitr-restore", report, lambda: _show(report))
    for warning in report.warnings:
        door.warn(warning)


def stop_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The directory that `pgkeeper pitr restore` named.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove it as well.")] = False,
) -> None:
    """Stop a cluster that was recovered beside production, and with --remove remove it."""
    from pgkeeper.operations.pitr_restore import stop_side

    open_door()
    stop_side(directory, clear=remove)
    say(f"{directory} is {'removed' if remove else 'stopped'}.")


def _show_plan(plan: "PitrRestorePlan") -> None:
    say(f"The cluster would be recovered to {plan.target}")
    say(f"  from     backup {plan.backup} in repository {plan.repository}, on timeline {plan.timeline}")
    say(f"  into     {plan.directory}")


def _show(report: "PitrRestoreReport") -> None:
    say(f"Recovered to {report.target} in {format_duration(report.seconds)}")
    say(f"  from     backup {report.backup} in repository {report.repository}, on timeline {report.timeline}")
    say(f"  look     psql -h {report.host} -p {report.port} -U postgres")
    for path in report.exports:
        say(f"  table    {path}")
    say(f"  time     {', '.join(f'{name} {format_duration(seconds)}' for name, seconds in report.phases.items() if seconds >= 0.1)}")
    say(f"  end      pgkeeper pitr stop {report.directory} --remove")
