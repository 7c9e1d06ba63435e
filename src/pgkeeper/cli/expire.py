"""`pgkeeper expire`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JobOption, JsonOption, finish, open_door, work
from pgkeeper.cli.options import WaitOption
from pgkeeper.cli.say import complain, say
from pgkeeper.cli.tables import print_table

if TYPE_CHECKING:
    from pgkeeper.operations.expire import ExpireReport


def command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed, and why the rest stays.")] = False,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
) -> None:
    """Remove backups whose time is over; never the newest ones, and only where backups still succeed."""
    from pgkeeper.operations.expire import ExpireReport, expire
    from pgkeeper.operations.places import STORE_WAIT

    # It is over in a moment, so there is no progress to show.
    door = open_door(json=json, quiet=True)
    patience = STORE_WAIT if wait is None else wait
    report = work(door, "expire", job, ExpireReport, lambda _progress: expire(door.settings, dry_run=dry_run, wait=patience))
    door.show("expire", report, lambda: _show(report))
    for problem in report.problems:
        complain(problem)
    finish(report.exit_status)


def _show(report: "ExpireReport") -> None:
    rows = [
        (decision.backup_id, database.store, "keep" if decision.keep else "remove", decision.reason)
        for database in report.databases
        for decision in database.decisions
        if report.dry_run or not decision.keep
    ]
    if rows:
        print_table(("BACKUP", "COPY", "DECISION" if report.dry_run else "DONE", "BECAUSE"), rows)
    if report.held_back:
        say(f"Nothing is removed: {report.held_back}")
    for database in report.databases:
        if database.refused and not report.held_back:
            say(f"{database.database} ({database.store}): nothing is removed, since {database.refused}")
    for name in report.replaced:
        say(f"{name}: {'would be dropped' if report.dry_run else 'dropped'}, its replacement is older than the days that backups are kept")
    if not report.dry_run and not rows and not report.replaced and not report.held_back:
        say("Nothing to remove.")
