"""`pgkeeper notify`."""

import typer

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.say import say
from pgkeeper.cli.summaries import WholeSummaries
from pgkeeper.model.counts import count

app = typer.Typer(cls=WholeSummaries, help="Messages to the owner.")


@app.callback()
def _group() -> None:
    """Messages to the owner."""


@app.command("test")
def send_test(json: JsonOption = False) -> None:
    """Send a test message to every address in BACKUP_NOTIFY_URLS."""
    from pgkeeper.operations.notify_test import notify_test

    door = open_door(json=json)
    report = notify_test(door.settings)
    door.show("notify-test", report, lambda: say(f"A message was handed over to {count(report.sent, 'address', 'addresses')}."))
