"""`pgkeeper pitr restore` and `pgkeeper pitr stop`."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import Door, JobOption, JsonOption, QuietOption, finish, open_door, work
from pgkeeper.cli.options import DatabaseOption, WaitOption
from pgkeeper.cli.say import complain, say
from pgkeeper.cli.tables import moment
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import UsageError
from pgkeeper.model.repository import RepositoryName
from pgkeeper.model.shell import quoted

if TYPE_CHECKING:
    from pgkeeper.operations.pitr_restore import PitrRestorePlan, PitrRestoreReport
    from pgkeeper.operations.replace_cluster import ReplaceClusterRequest
    from pgkeeper.operations.replace_cluster_report import ReplaceClusterReport

ConfirmOption = Annotated[
    str, typer.Option("--confirm", metavar="RESTORE", help="The word RESTORE, for what takes production's place.", show_default=False)
]
RequestOption = Annotated[
    str | None,
    typer.Option("--request-id", metavar="ID", help="Makes it repeatable: the same id again changes nothing.", show_default=False),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")]


def restore_command(
    time: Annotated[
        str | None,
        typer.Option(
            "--target-time", metavar="TIME", help="A moment, with its offset or zone: 2026-11-26 12:00:00+01.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--target-name", metavar="NAME", help="What `pgkeeper pitr mark NAME` named.", show_default=False)
    ] = None,
    xid: Annotated[int | None, typer.Option("--target-xid", metavar="XID", help="A transaction.", show_default=False)] = None,
    lsn: Annotated[str | None, typer.Option("--target-lsn", metavar="LSN", help="A position in the log.", show_default=False)] = None,
    immediate: Annotated[bool, typer.Option("--immediate", help="The end of the backup itself.")] = False,
    latest: Annotated[bool, typer.Option("--latest", help="The end of what is archived.")] = False,
    exclusive: Annotated[bool, typer.Option("--exclusive", help="Stop just before the target, not behind it.")] = False,
    timeline: Annotated[
        int | None,
        typer.Option("--timeline", help="[default: production's own that has the target]", show_default=False),
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
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of production, whose files are kept beside.")] = False,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="With --replace, where there is no room: write over production's files; nothing is kept."),
    ] = False,
    confirm: ConfirmOption = "",
    request_id: RequestOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Recover the whole cluster to a moment, beside production, which is not touched; and leave it running for a look.

    With --replace it then takes production's place, which stops PostgreSQL for a few seconds; with --in-place for the whole recovery.
    """
    from pgkeeper.operations.pitr_request import RecoveryWish
    from pgkeeper.operations.pitr_restore import PitrRestoreReport, PitrRestoreRequest, pitr_restore, plan_pitr_restore

    if replace and (to_dir is not None or exports):
        raise UsageError("--replace excludes --to-dir and --export", "", "see pgkeeper pitr restore --help")
    if in_place and not replace:
        raise UsageError("--in-place is for --replace", "", "a recovery beside writes over nothing")
    if confirm and not replace:
        raise UsageError("--confirm is for --replace", "", "a recovery beside touches nothing")
    wish = RecoveryWish(
        time=time, name=name, xid=xid, lsn=lsn, immediate=immediate, latest=latest, exclusive=exclusive,
        source=source, timeline=timeline, backup=backup,
    )  # fmt: skip
    door = open_door(json=json, quiet=quiet)
    if replace:
        from pgkeeper.operations.replace_cluster import ReplaceClusterRequest

        instead = ReplaceClusterRequest(wish=wish, in_place=in_place, confirmation=confirm, request_id=request_id, wait=wait or timedelta())
        _replace(door, instead, job, dry_run=dry_run)
        return
    request = PitrRestoreRequest(
        wish=wish, to_dir=to_dir, exports=tuple(exports or ()), database=database, request_id=request_id, wait=wait or timedelta()
    )
    if dry_run:
        with door.progress() as progress:
            plan = plan_pitr_restore(request, door.settings, progress)
        door.show("pitr-restore-plan", plan, lambda: _show_plan(plan))
        for warning in plan.warnings:
            door.warn(warning)
        return
    report = work(door, "pitr-restore", job, PitrRestoreReport, lambda progress: pitr_restore(request, door.settings, progress))
    door.show("pitr-restore", report, lambda: _show(door, report))
    for warning in report.warnings:
        door.warn(warning)


def _replace(door: Door, request: "ReplaceClusterRequest", job: str | None, *, dry_run: bool) -> None:
    from pgkeeper.operations.plan_replace_cluster import plan_replace_cluster
    from pgkeeper.operations.replace_cluster import replace_cluster
    from pgkeeper.operations.replace_cluster_report import ReplaceClusterReport

    if dry_run:
        with door.progress() as progress:
            plan = plan_replace_cluster(request, door.settings, progress)
        door.show("pitr-replace-plan", plan, lambda: say(plan.reason))
        for warning in plan.warnings:
            door.warn(warning)
        return
    report = work(door, "pitr-replace", job, ReplaceClusterReport, lambda progress: replace_cluster(request, door.settings, progress))
    _show_exchanged(door, report)


def undo_command(
    confirm: ConfirmOption = "",
    request_id: RequestOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Undo the last --replace: production gets its files back, and what was written since is kept beside."""
    from pgkeeper.operations.plan_undo_cluster import plan_undo_cluster
    from pgkeeper.operations.replace_cluster_report import ReplaceClusterReport
    from pgkeeper.operations.undo_cluster import UndoClusterRequest, undo_cluster

    door = open_door(json=json, quiet=quiet)
    request = UndoClusterRequest(confirmation=confirm, request_id=request_id, wait=wait or timedelta())
    if dry_run:
        plan = plan_undo_cluster(request, door.settings)
        door.show("pitr-undo-plan", plan, lambda: say(plan.reason))
        return
    report = work(door, "pitr-undo", job, ReplaceClusterReport, lambda progress: undo_cluster(request, door.settings, progress))
    _show_exchanged(door, report)


def resume_command(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Finish or undo a --replace or undo that was interrupted. The next one does so, too."""
    from pgkeeper.operations.resume_cluster import resume_cluster

    door = open_door(json=json, quiet=quiet)
    with door.progress() as progress:
        report = resume_cluster(door.settings, progress)
    door.show("pitr-resume", report, lambda: say("\n".join(report.settled) or "There is nothing to resume."))


def start_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The directory that `pgkeeper pitr restore` named.")],
    json: JsonOption = False,
) -> None:
    """Start a cluster again that was recovered beside production, after `stop` or a reboot of the host."""
    from pgkeeper.operations.side_server import start_side

    door = open_door(json=json)
    start_side(directory, door.settings)
    look = door.pasted(_psql(str(directory), 5432))
    door.show("pitr-side", {"directory": str(directory), "state": "running"}, lambda: say(f"{directory} runs: {look}"))


def stop_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The directory that `pgkeeper pitr restore` named.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove it as well.")] = False,
    json: JsonOption = False,
) -> None:
    """Stop a cluster that was recovered beside production, and with --remove remove it."""
    from pgkeeper.operations.side_server import stop_side

    door = open_door(json=json)
    stop_side(directory, door.settings, clear=remove)
    state = "removed" if remove else "stopped"
    door.show("pitr-side", {"directory": str(directory), "state": state}, lambda: say(f"{directory} is {state}."))


def _show_exchanged(door: Door, report: "ReplaceClusterReport") -> None:
    door.show("pitr-replace", report, lambda: _show_replaced(report))
    for warning in report.warnings:
        door.warn(warning)
    if not report.archived:
        complain(f"production runs, but its log is not archived: {report.archive_problem} (`pgkeeper pitr check` says more)")
    finish(report.exit_status)


def _show_replaced(report: "ReplaceClusterReport") -> None:
    if not report.changed:
        say(f"Production is left alone: this request was done {moment(report.replaced_at)}")
        say(f"  backup   {report.backup or 'none'}")
        return
    took, down = format_duration(report.seconds), format_duration(report.downtime_seconds)
    say(f"Production was put back to {report.target}; that took {took}, and it was down for {down}")
    say(f"  from     {report.recovered_from}; on timeline {report.timeline} now")
    nothing = "nothing: the files of before were written over" if report.in_place else "nothing was left"
    say(f"  kept     {f'{report.kept_as}, as it was: remove it when nobody misses anything' if report.kept_as else nothing}")
    say(f"  backup   {report.backup or 'none yet'}")
    if report.tables_read:
        say(f"  read     a first row of {count(report.tables_read, 'table')}, those of the catalogs included")
    if report.unchecked:
        why = "see the warnings" if report.warnings else "amcheck is not installed"
        say(f"  unseen   the pages of {', '.join(report.unchecked)}: {why}")


def _show_plan(plan: "PitrRestorePlan") -> None:
    if not plan.would_change:
        say(f"Nothing to do, {plan.reason}")
        return
    say(f"The cluster would be recovered to {plan.target}")
    say(f"  from     backup {plan.backup} in repository {plan.repository}, on timeline {plan.timeline}")
    say(f"  into     {plan.directory}")


def _psql(host: str, port: int) -> str:
    return f"psql -h {quoted(host)} -p {port}"


def _show(door: Door, report: "PitrRestoreReport") -> None:
    took = f" in {format_duration(report.seconds)}" if report.changed else f", at {moment(report.recovered_at)}"
    say(f"Recovered to {report.target}{took}")
    say(f"  from     backup {report.backup} in repository {report.repository}, on timeline {report.timeline}")
    say(f"  look     {door.pasted(_psql(report.host, report.port))}")
    for path in report.exports:
        say(f"  table    {path}")
    if report.phases:
        say(f"  time     {', '.join(f'{name} {format_duration(seconds)}' for name, seconds in report.phases.items() if seconds >= 0.1)}")
    say(f"  end      pgkeeper pitr stop {quoted(report.directory)} --remove")
