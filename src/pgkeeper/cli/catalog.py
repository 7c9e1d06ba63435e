"""`pgkeeper catalog`."""

from typing import TYPE_CHECKING

import typer

from pgkeeper.cli.door import JsonOption, finish, open_door
from pgkeeper.cli.say import complain, say

if TYPE_CHECKING:
    from pgkeeper.operations.rebuild_catalog import RebuildReport

app = typer.Typer(help="The catalog: an index of backups, the history of sizes, and jobs.")


@app.callback()
def _group() -> None:
    """The catalog: an index of backups, the history of sizes, and jobs."""


@app.command("rebuild")
def rebuild_command(json: JsonOption = False) -> None:
    """Make the catalog again from the backups' manifests; jobs and sizes that can still be read are kept."""
    from pgkeeper.operations.rebuild_catalog import rebuild_catalog

    door = open_door(json=json)
    report = rebuild_catalog(door.settings)
    door.show("catalog-rebuild", report, lambda: _show(report))
    for problem in report.problems:
        complain(problem)
    finish(report.exit_status)


def _show(report: "RebuildReport") -> None:
    say(f"The catalog knows {report.backups} backups, {report.sizes} sizes of databases and {report.jobs} jobs.")
    if report.moved_to:
        say(f"The old one could not be used; it is {report.moved_to} now.")
