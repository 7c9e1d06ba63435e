"""`pgkeeper delete`."""

from typing import Annotated

import typer

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.say import say


def command(
    backup: Annotated[str, typer.Argument(metavar="ID", help="The backup's id.")],
    confirm: Annotated[str, typer.Option("--confirm", metavar="DELETE", help="The word DELETE.", show_default=False)] = "",
    json: JsonOption = False,
) -> None:
    """Remove one backup for good."""
    from pgkeeper.operations.delete import delete

    door = open_door(json=json)
    report = delete(backup, confirm, door.settings)
    door.show("delete", report, lambda: say(f"{report.backup_id}: deleted; {report.remaining} of {report.database} remain"))
    if report.remaining == 0:
        door.warn(f"database {report.database} has no good backup now; `pgkeeper backup --database {report.database}` makes one")
