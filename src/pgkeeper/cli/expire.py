"""`pgkeeper expire`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JobOption, JsonOption, finish, open_door, work
from pgkeeper.cli.say import complain, say
from pgkeeper.cli.tables import print_table

if TYPE_CHECKING:
    from pgkeeper.operations.expire import ExpireReport


def command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed, and why the rest stays.")] = False,
    job: JobOption = None,
    json: JsonOption = False,
) -> None:
    """Remove backups older than BACKUP_LOCAL_RETENTION_DAYS; never the newest ones, and only where backups still succeed."""
    from pgkeeper.operations.expire import ExpireReport, expire

    # It is over in a moment, so there is no progress to show.
    door = open_door(json=json, quiet=True)
    report = work(door, "expire", job, ExpireReport, lambda _progress: expire(door.settings, dry_run=dry_run))
    door.show("expire", report, lambda: _show(report))
    for problem in report.problems:
        complain(problem)
    finish(report.exit_status)


def _show(report: "ExpireReport") -> None:
    rows = [
        (decision.backup_id, "keep" if decision.keep else "remove", decision.reason)
        for database in report.databases
        for decision in database.decisions
        if report.dry_run or not decision.keep
    ]
    if rows:
        print_table(("BACKUP", "DECISION" if report.dry_run else "DONE", "BECAUSE"), rows)
    for database in report.databases:
        if database.refused:
            say(f"{database.database}: nothing is removed, since {database.refused}")
    if not report.dry_run and not report.removed:
        say("Nothing to remove.")
