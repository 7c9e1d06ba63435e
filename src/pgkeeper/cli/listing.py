"""`pgkeeper list`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.options import DatabasesOption, HostOption
from pgkeeper.cli.say import say
from pgkeeper.cli.tables import print_table
from pgkeeper.model.copy import StoreName
from pgkeeper.model.durations import format_duration
from pgkeeper.model.proof import LEVELS
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.operations.listing import BackupSummary


def command(
    database: DatabasesOption = None,
    source: Annotated[
        StoreName | None,
        typer.Option("--from", help="Only the copies there; for those off site the bucket itself is asked.", show_default=False),
    ] = None,
    host: HostOption = "",
    json: JsonOption = False,
) -> None:
    """List backups by database, newest first, and where their copies are. Works while the server is down."""
    from pgkeeper.operations.listing import list_backups, list_copies

    door = open_door(json=json)
    wanted = tuple(database or ())
    source = source or ("cloud" if host else None)
    backups = list_copies(door.settings, source, host, wanted) if source else list_backups(door.settings, wanted)
    document = {"backups": [backup.model_dump(mode="json") for backup in backups]}
    others = list_backups(door.settings) if database and not backups and not source else ()
    door.show("list", document, lambda: _show(backups, database or [], others, asked=source is not None))
    for backup in backups:
        if backup.pin_problem:
            door.warn(backup.pin_problem)


def _show(backups: "tuple[BackupSummary, ...]", databases: list[str], others: "tuple[BackupSummary, ...]", *, asked: bool) -> None:
    if not backups:
        whose = f" of {', '.join(databases)}" if databases else ""
        there = ", ".join(sorted({backup.database for backup in others}))
        say(
            f"There is no backup{whose}; there are backups of {there}."
            if there
            else f"There is no backup{whose}; `pgkeeper backup` makes one."
        )
        return
    now = datetime.now(UTC)
    # Newest first they came; databases stand in the order of their newest backup.
    order = {database: number for number, database in enumerate(dict.fromkeys(backup.database for backup in backups))}
    grouped = sorted(backups, key=lambda backup: order[backup.database])
    rows = [
        (
            backup.backup_id,
            format_duration((now - backup.created_at).total_seconds()) if backup.created_at <= now else "in the future",
            format_size(backup.size_bytes) if backup.size_bytes is not None else "?",
            str(backup.rows) if backup.rows is not None else "?",
            ", ".join(backup.stores),
            _checked(backup) + (", pinned" if backup.pinned else "") + (", before a replacement" if backup.replaced_at else ""),
        )
        for backup in grouped
    ]
    print_table(("BACKUP", "AGE", "SIZE", "ROWS", "COPIES", "CHECKED"), rows, right=("SIZE", "ROWS"))
    if not asked:
        _say_when_seen(backups, now)


def _say_when_seen(backups: "tuple[BackupSummary, ...]", now: datetime) -> None:
    """Say how old it is what is known of copies off site: until a store is asked, what was removed there still is in the list."""
    seen: dict[str, datetime] = {}
    for backup in backups:
        for store, at in backup.seen.items():
            seen[store] = min(at, seen.get(store, at))
    for name, oldest in seen.items():
        age = format_duration(max(0.0, (now - oldest).total_seconds()))
        say(f"Copies in {name} as they were seen {age} ago; `pgkeeper list --from {name}` asks now.")


def _checked(backup: "BackupSummary") -> str:
    if backup.problem:
        return "DAMAGED"
    if backup.difference:
        return "DIFFERS when restored"
    level = max(backup.verified, default=None, key=LEVELS.index)
    return {None: "no", "restore": "proven"}.get(level, level or "")
