"""`pgkeeper show`."""

from typing import TYPE_CHECKING

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.options import BackupArgument, DatabaseOption, FromOption, HostOption
from pgkeeper.cli.say import say
from pgkeeper.cli.tables import moment, print_facts, print_table
from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.model.manifest import Manifest
    from pgkeeper.stores.copy import Copy

_LARGEST = 10


def command(
    backup: BackupArgument = "latest",
    database: DatabaseOption = None,
    source: FromOption = "local",
    host: HostOption = "",
    json: JsonOption = False,
) -> None:
    """Show everything a backup says about itself. Password verifiers are never shown."""
    from pgkeeper.operations.listing import show_backup

    door = open_door(json=json)
    found, manifest = show_backup(door.settings, backup, database, source, host)
    document = {"path": found.where, "pinned": found.pinned(), "manifest": manifest.public()}
    door.show("show", document, lambda: _show(found, manifest))


def _show(found: "Copy", manifest: "Manifest") -> None:
    database, contents = manifest.database, manifest.contents
    checks = ", ".join(f"{level} {moment(at)}" for level, at in found.verified().items())
    print_facts(
        [
            ("backup", manifest.backup_id),
            ("path", found.where),
            ("made", f"{moment(manifest.started_at)}, in {format_duration((manifest.finished_at - manifest.started_at).total_seconds())}"),
            ("by", manifest.made_by),
            ("checked", checks or "not since it was made"),
            ("pinned", _pinned(found)),
            ("cluster", f"{manifest.cluster.label}, PostgreSQL {manifest.cluster.server_version}, on {manifest.cluster.host}"),
            ("database", f"{database.name}, owner {database.owner}, {database.encoding}, {format_size(database.size_bytes)}"),
            ("size", f"{format_size(manifest.size_bytes)} in {count(len(manifest.files), 'file')}"),
            (
                "content",
                f"{count(len(contents.tables), 'table')}, {count(contents.rows, 'row')}, {count(len(contents.sequences), 'sequence')}",
            ),
            ("large objects", f"{contents.large_objects.count}, {format_size(contents.large_objects.bytes)}"),
            ("extensions", ", ".join(f"{extension.name} {extension.version}" for extension in database.extensions) or "none"),
        ]
    )
    for warning in manifest.warnings:
        say(f"warning: {warning}")
    largest = sorted(contents.tables, key=lambda table: table.bytes, reverse=True)[:_LARGEST]
    if largest:
        say()
        rows = [(table.label, str(table.rows), format_size(table.bytes)) for table in largest]
        print_table(("LARGEST TABLES", "ROWS", "DATA"), rows, right=("ROWS", "DATA"))


def _pinned(found: "Copy") -> str:
    try:
        pin = found.pin()
    except IntegrityError as error:
        return f"yes, though {error}"
    if pin is None:
        return "no"
    return f"since {moment(pin.pinned_at)}" + (f": {pin.reason}" if pin.reason else "")
