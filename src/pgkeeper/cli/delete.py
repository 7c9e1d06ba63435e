"""`pgkeeper delete`."""

from typing import Annotated

import typer

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.options import FromOption, IdArgument
from pgkeeper.cli.say import say
from pgkeeper.model.copy import StoreName
from pgkeeper.model.shell import quoted


def command(
    backup: IdArgument,
    confirm: Annotated[str, typer.Option("--confirm", metavar="DELETE", help="The word DELETE.", show_default=False)] = "",
    source: FromOption = "local",
    json: JsonOption = False,
) -> None:
    """Remove one backup for good: its copy on this host, or one off site."""
    from pgkeeper.operations.delete import delete

    door = open_door(json=json)
    report = delete(backup, confirm, door.settings, source)
    left = f"{report.remaining} of {report.database} remain{_there(report.store)}"
    door.show("delete", report, lambda: say(f"{report.backup_id}: deleted; {left}"))
    if report.remaining == 0:
        door.warn(
            f"database {report.database} has no good backup{_there(report.store)} now; "
            f"`pgkeeper backup --database {quoted(report.database)}` makes one"
        )


def _there(store: StoreName) -> str:
    return "" if store == "local" else f" in {store}"
