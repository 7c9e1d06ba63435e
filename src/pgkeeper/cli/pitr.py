"""`pgkeeper pitr`: recovery to any second."""

from datetime import timedelta
from typing import Annotated, Literal

import typer

from pgkeeper.cli import pitr_kept, pitr_restore
from pgkeeper.cli.door import JobOption, JsonOption, QuietOption, finish, open_door, work
from pgkeeper.cli.options import WaitOption, as_duration
from pgkeeper.cli.pitr_show import show_attach, show_backup, show_check, show_expire, show_verify, show_window
from pgkeeper.cli.say import complain, complain_of, say
from pgkeeper.cli.summaries import WholeSummaries
from pgkeeper.cli.tables import moment
from pgkeeper.model.physical_backup import BackupKind
from pgkeeper.model.repository import RepositoryName

app = typer.Typer(cls=WholeSummaries, help="Recovery to any second, from physical backups and archived log.")

_Detachable = Annotated[
    Literal["cloud"], typer.Argument(metavar="cloud", help="The repository off site; the local one is never detached.", show_default=False)
]


@app.callback()
def _group() -> None:
    """Recovery to any second, from physical backups and archived log."""


app.command("list")(pitr_kept.list_command)
app.command("remove")(pitr_kept.remove_command)
app.command("restore")(pitr_restore.restore_command)
app.command("undo")(pitr_restore.undo_command)
app.command("resume")(pitr_restore.resume_command)
app.command("start")(pitr_restore.start_command)
app.command("stop")(pitr_restore.stop_command)


@app.command("window")
def window_command(json: JsonOption = False) -> None:
    """Show which moments can be brought back, from where, and what is missing."""
    from pgkeeper.operations.pitr_window import window

    door = open_door(json=json)
    report = window(door.settings)
    door.show("pitr-window", report, lambda: show_window(report))
    complain_of(repository.error for repository in report.repositories)
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
    door.show("pitr-backup", report, lambda: show_backup(report))
    for outcome in report.outcomes:
        for warning in outcome.warnings:
            door.warn(f"{outcome.repository}: {warning}")
        if outcome.error is not None:
            complain(str(outcome.error))
    for warning in report.warnings:
        door.warn(warning)
    finish(report.exit_status)


@app.command("check")
def check_command(
    timeout: Annotated[
        timedelta, typer.Option("--timeout", parser=as_duration, metavar="TIME", help="How long archiving may take, e.g. 5m.")
    ] = timedelta(minutes=2),
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """End a segment of the log, see it arrive in every repository, and look for gaps."""
    from pgkeeper.operations.pitr_check import PitrCheckRequest, pitr_check

    door = open_door(json=json, quiet=quiet)
    with door.progress() as progress:
        report = pitr_check(PitrCheckRequest(timeout=timeout), door.settings, progress)
    door.show("pitr-check", report, lambda: show_check(report, quiet=quiet))
    for problem in report.problems:
        complain(problem)
    for warning in report.warnings:
        door.warn(warning)
    finish(report.exit_status)


@app.command("mark")
def mark_command(name: Annotated[str, typer.Argument(metavar="NAME", help="What to call this moment.")], json: JsonOption = False) -> None:
    """Name this moment, so that it can be recovered to: before a migration, before an import."""
    from pgkeeper.operations.pitr_mark import mark

    door = open_door(json=json)
    report = mark(name, door.settings)
    made = report.mark
    door.show("pitr-mark", report, lambda: say(f"mark {made.name}: {moment(made.at)}, {made.lsn} on timeline {made.timeline}"))
    for warning in report.warnings:
        door.warn(warning)


@app.command("verify")
def verify_command(
    source: Annotated[
        RepositoryName, typer.Option("--from", help="Which repository is read; what is read off site is paid for.")
    ] = "local",
    restore: Annotated[
        bool, typer.Option("--restore", help="Also recover the cluster from it, beside production, look into every page, and remove it.")
    ] = False,
    heap_all_indexed: Annotated[
        bool, typer.Option("--heapallindexed", help="Also look whether each row is in each index; this takes long.")
    ] = False,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look for damage: in a repository file by file, in the running cluster page by page, and in what is recovered."""
    from pgkeeper.operations.pitr_verify import PitrVerifyReport, PitrVerifyRequest, pitr_verify

    door = open_door(json=json, quiet=quiet)
    request = PitrVerifyRequest(source=source, restore=restore, heap_all_indexed=heap_all_indexed)
    report = work(door, "pitr-verify", job, PitrVerifyReport, lambda progress: pitr_verify(request, door.settings, progress))
    door.show("pitr-verify", report, lambda: show_verify(report))
    complain_of(outcome.error for outcome in report.outcomes)
    for warning in report.warnings:
        door.warn(warning)
    finish(report.exit_status)


@app.command("expire")
def expire_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False, json: JsonOption = False
) -> None:
    """Remove physical backups past their days, and the log that none of those left needs. Every `pitr backup` does so, too."""
    from pgkeeper.operations.pitr_expire import pitr_expire

    door = open_door(json=json)
    report = pitr_expire(door.settings, dry_run=dry_run)
    door.show("pitr-expire", report, lambda: show_expire(report))
    complain_of(outcome.error for outcome in report.outcomes)
    finish(report.exit_status)


@app.command("detach")
def detach_command(repository: _Detachable, json: JsonOption = False) -> None:
    """Stop writing to the repository off site while it is out of reach, so that the local one goes on."""
    from pgkeeper.operations.pitr_attach import detach

    door = open_door(json=json)
    report = detach(repository, door.settings)
    word = "detached" if report.changed else "was detached already"
    door.show("pitr-detach", report, lambda: say(f"repository {report.repository}: {word}, since {moment(report.since)}"))


@app.command("attach")
def attach_command(repository: _Detachable, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Write to the repository off site again. A full backup follows at once: its log has a gap."""
    from pgkeeper.operations.pitr_attach import attach

    door = open_door(json=json, quiet=quiet)
    with door.progress() as progress:
        report = attach(repository, door.settings, progress)
    door.show("pitr-attach", report, lambda: show_attach(report))
    if report.backup is not None:
        for warning in report.backup.warnings:
            door.warn(f"{report.backup.repository}: {warning}")
    for warning in report.warnings:
        door.warn(warning)
    if report.backup is not None and report.backup.error is not None:
        complain(str(report.backup.error))
    finish(report.exit_status)
