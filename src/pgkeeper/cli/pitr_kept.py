"""`pgkeeper pitr list` and `pitr remove`: what recoveries have made and kept."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JsonOption, finish, open_door
from pgkeeper.cli.options import WaitOption
from pgkeeper.cli.say import complain_of, say
from pgkeeper.cli.tables import moment, print_table
from pgkeeper.model.shell import quoted
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.operations.kept_clusters import KeptDirectory, RecoveredCluster
    from pgkeeper.operations.pitr_list import PitrListReport
    from pgkeeper.operations.pitr_remove import PitrRemoveReport


def list_command(json: JsonOption = False) -> None:
    """List physical backups, clusters recovered beside production, and files kept by replacements."""
    from pgkeeper.operations.pitr_list import pitr_list

    door = open_door(json=json)
    report = pitr_list(door.settings)
    door.show("pitr-list", report, lambda: _show(report))
    complain_of(repository.error for repository in report.repositories)
    finish(report.exit_status)


def remove_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that `pgkeeper pitr list` shows.")],
    confirm: Annotated[str, typer.Option("--confirm", metavar="NAME", help="The name once more.", show_default=False)] = "",
    wait: WaitOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a recovered cluster or a kept directory for good. Without --confirm, only say what would go."""
    from pgkeeper.operations.pitr_remove import pitr_remove

    door = open_door(json=json)
    report = pitr_remove(name, confirm, door.settings, wait or timedelta())
    door.show("pitr-remove", report, lambda: _show_removed(report))
    if report.undo_needed_it:
        verb = "cannot be undone any more" if report.removed else "could not be undone any more"
        door.warn(f"the last replacement of the cluster {verb}")


def _show_removed(report: "PitrRemoveReport") -> None:
    verb = "removed" if report.removed else "would be stopped and removed" if report.running else "would be removed"
    say(f"{report.name}: {verb}, {_size(report.size_bytes)}")
    for path in report.paths:
        say(f"  {path}")
    if not report.removed:
        say(f"  confirm with: pgkeeper pitr remove {quoted(report.name)} --confirm {quoted(report.name)}")


def _show(report: "PitrListReport") -> None:
    say(f"cluster {report.stanza}: timeline {report.timeline or 'unknown'}")
    backups = [
        (made.label, made.kind, one.repository, moment(made.stopped_at), format_size(made.size_bytes), format_size(made.repository_bytes))
        for one in report.repositories
        for made in one.backups
    ]
    if backups:
        say("")
        print_table(["BACKUP", "KIND", "REPOSITORY", "MADE", "SIZE", "ADDED"], backups, right=["SIZE", "ADDED"])
    else:
        say("no physical backup")
    if report.recovered:
        say("")
        rows = [
            (one.name, _state(one), moment(one.since) if one.since else "", _size(one.size_bytes), str(one.directory))
            for one in report.recovered
        ]
        print_table(["RECOVERED CLUSTER", "STATE", "SINCE", "SIZE", "PATH"], rows, right=["SIZE"])
    if report.kept:
        say("")
        kept = [(one.name, _use(one), moment(one.since), _size(one.size_bytes), ", ".join(map(str, one.paths))) for one in report.kept]
        print_table(["KEPT DIRECTORY", "STATE", "SINCE", "SIZE", "PATH"], kept, right=["SIZE"])
    for replacement in report.interrupted:
        state = "under way" if replacement.at_work else "interrupted: `pgkeeper pitr resume` ends it"
        say(f"replacement {replacement.replacement_id}: {state}")
        for path in replacement.paths:
            say(f"  {path}")


def _size(size: int | None) -> str:
    return "?" if size is None else format_size(size)


def _state(one: "RecoveredCluster") -> str:
    if one.running:
        return f"running, port {one.port}"
    return {"begun": "being recovered" if one.at_work else "unfinished", "recovered": "stopped", "unknown": "unknown"}[one.state]


def _use(one: "KeptDirectory") -> str:
    return "half removed" if one.half_removed else "for `pitr undo`" if one.undo_needs_it else "kept"
