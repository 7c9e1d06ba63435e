"""Options that several commands share."""

from datetime import timedelta
from typing import Annotated

import typer

from pgkeeper.cli.complete import backup_ids, backup_ids_or_latest, database_names
from pgkeeper.model.copy import StoreName
from pgkeeper.model.durations import parse_duration


def as_duration(text: str | timedelta) -> timedelta:
    """Return the duration that an option names. Raises typer's usage error for what is none."""
    if isinstance(text, timedelta):
        return text
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


DatabasesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--database", "-d", metavar="NAME", help="Only this database; may be repeated.", show_default=False, autocompletion=database_names
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", "-d", metavar="NAME", help="The database `latest` speaks of.", show_default=False, autocompletion=database_names
    ),
]
AgeOption = Annotated[
    timedelta | None,
    typer.Option(
        "--if-older-than", parser=as_duration, metavar="AGE", help="Only where the last one is older, e.g. 24h.", show_default=False
    ),
]
WaitOption = Annotated[
    timedelta | None,
    typer.Option("--wait", parser=as_duration, metavar="TIME", help="Wait that long for one already running, e.g. 2h.", show_default=False),
]
FromOption = Annotated[
    StoreName,
    typer.Option("--from", help="Which copy: the one on this host, or one off site (cloud, or its replica).", show_default=True),
]
HostOption = Annotated[
    str,
    typer.Option(
        "--host", metavar="NAME", help="With --from cloud: the host whose backups are meant [default: this one].", show_default=False
    ),
]
BackupArgument = Annotated[str, typer.Argument(metavar="ID|latest", help="A backup's id, or latest.", autocompletion=backup_ids_or_latest)]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The backup's id.", autocompletion=backup_ids)]
