"""`pgkeeper catalog`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JsonOption, finish, open_door
from pgkeeper.cli.options import FromOption, HostOption
from pgkeeper.cli.say import complain, say
from pgkeeper.cli.summaries import WholeSummaries
from pgkeeper.cli.tables import moment
from pgkeeper.model.counts import count
from pgkeeper.model.errors import UsageError

if TYPE_CHECKING:
    from pgkeeper.operations.rebuild_catalog import RebuildReport
    from pgkeeper.operations.rebuild_copies import RebuildCopiesReport

app = typer.Typer(cls=WholeSummaries, help="The catalog: an index of backups, the history of sizes, and jobs.")


@app.callback()
def _group() -> None:
    """The catalog: an index of backups, the history of sizes, and jobs."""


@app.command("rebuild")
def rebuild_command(
    source: FromOption = "local",
    host: HostOption = "",
    adopt: Annotated[bool, typer.Option("--adopt", help="With --host: this machine goes on as that host, which is no more.")] = False,
    json: JsonOption = False,
) -> None:
    """Make the catalog again from the backups' manifests; jobs and sizes that can still be read are kept.

    With --from cloud: know again what is off site, from the bucket alone. Nothing is changed there, unless with --adopt.
    """
    from pgkeeper.operations.rebuild_catalog import rebuild_catalog
    from pgkeeper.operations.rebuild_copies import rebuild_copies

    door = open_door(json=json)
    if source != "local":
        copies = rebuild_copies(door.settings, source, host, adopt=adopt)
        door.show("catalog-rebuild-copies", copies, lambda: _show_copies(copies))
        for warning in copies.warnings:
            door.warn(warning)
        for problem in copies.problems:
            complain(problem)
        finish(copies.exit_status)
        return
    if host or adopt:
        raise UsageError("--host and --adopt are for copies off site", "", "say --from cloud as well")
    report = rebuild_catalog(door.settings)
    door.show("catalog-rebuild", report, lambda: _show(report))
    for problem in report.problems:
        complain(problem)
    finish(report.exit_status)


def _show_copies(report: "RebuildCopiesReport") -> None:
    say(f"{report.where} holds {count(report.copies, 'copy', 'copies')} of host {report.host}.")
    for database, at in report.newest.items():
        say(f"  {database}: the newest from {moment(at)}")
    if report.adopted:
        say(f"This machine goes on as {report.host}.")


def _show(report: "RebuildReport") -> None:
    say(f"The catalog knows {count(report.backups, 'backup')}, {count(report.sizes, 'size')} of databases and {count(report.jobs, 'job')}.")
    if report.moved_to:
        say(f"The old one could not be used; it is {report.moved_to} now.")
