"""`pgkeeper keep`."""

from typing import Annotated

import typer

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.say import say


def command(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="The copy's name.")],
    json: JsonOption = False,
) -> None:
    """Keep a restored copy as a database of your own."""
    from pgkeeper.operations.keep import keep

    door = open_door(json=json)
    report = keep(database, door.settings)
    was = "is backed up as a database of its own from now on" if report.changed else "is no copy: there is nothing to do"
    door.show("keep", report, lambda: say(f"{report.database} {was}."))
