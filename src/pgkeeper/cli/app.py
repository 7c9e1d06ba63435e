"""The command line: one typer application, a module per command, every failure one line on stderr."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any

import typer

from pgkeeper import __version__
from pgkeeper.cli import (
    backup,
    catalog,
    cost,
    delete,
    doctor,
    drill,
    expire,
    job,
    keep,
    listing,
    notify,
    pin,
    pitr,
    restore,
    show,
    stats,
    status,
    sync,
    verify,
)
from pgkeeper.cli.door import print_document
from pgkeeper.cli.say import complain, say
from pgkeeper.cli.summaries import WholeSummaries
from pgkeeper.model.errors import ErrorInfo, PgkeeperError

# Typer brings a click of its own and exports of its usage errors only this one's descendant.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="pgkeeper",
    cls=WholeSummaries,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backup")(backup.command)
app.command("list")(listing.command)
app.command("show")(show.command)
app.command("verify")(verify.command)
app.command("restore")(restore.command)
app.command("keep")(keep.command)
app.command("pin")(pin.pin_command)
app.command("unpin")(pin.unpin_command)
app.command("delete")(delete.command)
app.command("expire")(expire.command)
app.command("sync")(sync.command)
app.command("status")(status.command)
app.command("stats")(stats.command)
app.command("cost")(cost.command)
app.command("doctor")(doctor.command)
app.add_typer(drill.app, name="drill")
app.add_typer(job.app, name="job")
app.add_typer(catalog.app, name="catalog")
app.add_typer(notify.app, name="notify")
app.add_typer(pitr.app, name="pitr")


@app.callback()
def _everything(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    """Keep PostgreSQL databases recoverable, and prove it.

    Exit status: 0 done, 1 failed, 2 usage, 3 configuration, 4 integrity (damaged), 5 busy, 6 refused for safety.
    """
    if version:
        say(f"pgkeeper {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Never raises; errors are one line on stderr, and a document with `--json`."""
    as_json = "--json" in arguments
    stops = _end_orderly_on_signals()
    status = _run(arguments or ["--help"], as_json=as_json)
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is still unwritten would be tried again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if status == 0 and not isinstance(error, BrokenPipeError):
            status = _fail(ErrorInfo(what="the result could not be written", why=error.strerror or ""), as_json=False)
    if stops:
        return _fail(ErrorInfo(what=f"stopped by {stops[0]}", why="nothing unfinished was kept"), as_json=as_json)
    return status


def _run(arguments: Sequence[str], *, as_json: bool) -> int:
    try:
        result = app(args=list(arguments), prog_name="pgkeeper", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "pgkeeper"
        return _fail(ErrorInfo(what=error.format_message().rstrip("."), hint=f"see `{command} --help`", exit_status=2), as_json=as_json)
    except PgkeeperError as error:
        return _fail(error.info, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError, typer.Abort):
        return 1
    except Exception as error:  # noqa: BLE001 - a traceback is for the log, never for the owner
        from pgkeeper.operations.failures import as_error_info

        return _fail(as_error_info(error, "pgkeeper"), as_json=as_json)


def _fail(error: ErrorInfo, *, as_json: bool) -> int:
    # Where nobody can be told, the exit status still tells.
    with suppress(OSError):
        if as_json:
            print_document("error", {"error": error.model_dump(mode="json")})
            sys.stdout.flush()
    with suppress(OSError):
        complain(str(error))
    return error.exit_status


def _end_orderly_on_signals() -> list[str]:
    """Let INT, TERM and HUP unwind the program, so that everything half-made is removed; return where the signal will be named.

    It must be a KeyboardInterrupt: psycopg then cancels what the server is doing for us. Further signals do not disturb the clearing up.
    A HUP ignored by nohup stays ignored.
    """
    stops: list[str] = []
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        stops.append(signal.Signals(number).name)
        raise KeyboardInterrupt(f"stopped by {stops[0]}")

    for number in numbers:
        signal.signal(number, stop)
    return stops
