"""`pgkeeper stats`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pgkeeper.cli.door import JsonOption, finish, open_door
from pgkeeper.cli.say import say
from pgkeeper.cli.tables import print_table
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.sizes import format_signed_size, format_size

if TYPE_CHECKING:
    from pgkeeper.operations.stats import DatabaseStats, StatsReport, StoreStats


def command(json: JsonOption = False) -> None:
    """Show how large databases are, how fast they grow, and how old their backups are."""
    from pgkeeper.operations.stats import stats

    door = open_door(json=json)
    report = stats(door.settings)
    door.show("stats", report, lambda: _show(report))
    for database in report.databases:
        if database.problem:
            door.warn(database.problem)
    finish(report.exit_status)


def _show(report: "StatsReport") -> None:
    columns = ("DATABASE", "SIZE", "TABLES", "ROWS", "PER DAY", "PER WEEK", "PER MONTH", "BACKUPS", "LAST BACKUP")
    print_table(columns, [_row(database) for database in report.databases], right=columns[1:8])
    say()
    for store in report.off_site:
        say(_store(store))
    free, total = format_size(report.disk_free_bytes), format_size(report.disk_total_bytes)
    say(f"Backups take {format_size(report.backups_bytes)}; the disk is {report.disk_used_percent:.0f} % full ({free} of {total} free).")


def _row(database: "DatabaseStats") -> tuple[str, ...]:
    growth = (_signed(database.growth.get(period)) for period in ("daily", "weekly", "monthly"))
    last = database.last_backup
    return (
        database.database,
        "?" if database.size_bytes is None else format_size(database.size_bytes),
        "?" if database.tables is None else str(database.tables),
        "?" if database.rows_estimate is None else f"~{database.rows_estimate}",
        *growth,
        str(database.backups),
        f"{format_duration(last.age_seconds)} ago" if last else "never",
    )


def _store(store: "StoreStats") -> str:
    late = f"{store.waiting} waiting for {format_duration(store.lag_seconds)}" if store.waiting else "nothing is waiting"
    held = f"Off site ({store.store}): {count(store.copies, 'copy', 'copies')}, {format_size(store.size_bytes)}; {late}"
    if store.succeeded_at is None:
        return f"{held}; copying never went well yet."
    return f"{held}; copying last went well {format_duration((datetime.now(UTC) - store.succeeded_at).total_seconds())} ago."


def _signed(size: int | None) -> str:
    return "?" if size is None else format_signed_size(size)
