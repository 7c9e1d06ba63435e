"""`pgkeeper sync`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.complete import backup_ids
from pgkeeper.cli.door import JobOption, JsonOption, QuietOption, finish, open_door, work
from pgkeeper.cli.options import WaitOption
from pgkeeper.cli.say import complain, complain_of, say
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.operations.sync import SyncReport


def command(
    backups: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...", help="Only these backups [default: all that are missing].", show_default=False, autocompletion=backup_ids
        ),
    ] = None,
    wait: WaitOption = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take over a place that belongs to another machine or cluster.")] = False,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy backups off site that are not there yet, send damaged copies again, and look whether what was copied is still there."""
    from pgkeeper.operations.sync import SyncReport, SyncRequest, sync

    door = open_door(json=json, quiet=quiet)
    request = SyncRequest(backups=tuple(backups or ()), wait=wait or timedelta(), adopt=adopt)
    report = work(door, "sync", job, SyncReport, lambda progress: sync(request, door.settings, progress))
    door.show("sync", report, lambda: _show(report))
    complain_of(outcome.error for outcome in report.outcomes)
    for store in report.stores:
        for line in (*store.lost, *store.damaged, *store.foreign):
            complain(line)
        if store.error is not None:
            complain(str(store.error))
    for warning in report.warnings:
        door.warn(warning)
    finish(report.exit_status)


def _show(report: "SyncReport") -> None:
    if not report.stores:
        say("Copies off site are not set up: BACKUP_CLOUD_ENABLED is not true.")
    for outcome in report.outcomes:
        if outcome.status == "done":
            size = format_size(outcome.size_bytes or 0)
            again = f" again, because {outcome.again}" if outcome.again else ""
            say(f"{outcome.backup_id}: copied to {outcome.store} in {format_duration(outcome.seconds)}, {size}{again}")
    for store in report.stores:
        waiting = f"{store.waiting} waiting for {format_duration(store.lag_seconds)}" if store.waiting else "nothing is waiting"
        say(f"{store.store}: {count(store.copies, 'copy', 'copies')}, {format_size(store.size_bytes)}, in {store.where}; {waiting}")
