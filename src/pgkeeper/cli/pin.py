"""`pgkeeper pin` and `pgkeeper unpin`."""

from typing import Annotated

import typer

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.options import IdArgument
from pgkeeper.cli.say import say


def pin_command(
    backup: IdArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever asks later.", show_default=False)] = "",
    json: JsonOption = False,
) -> None:
    """Keep one backup, however old it gets, until it is unpinned."""
    from pgkeeper.operations.pin import pin

    door = open_door(json=json)
    report = pin(backup, reason, door.settings)
    door.show("pin", report, lambda: say(f"{report.backup_id}: {'pinned' if report.changed else 'was pinned already'}"))


def unpin_command(backup: IdArgument, json: JsonOption = False) -> None:
    """Take the pin off one backup; from then on retention decides."""
    from pgkeeper.operations.pin import unpin

    door = open_door(json=json)
    report = unpin(backup, door.settings)
    door.show("unpin", report, lambda: say(f"{report.backup_id}: {'unpinned' if report.changed else 'was not pinned'}"))
