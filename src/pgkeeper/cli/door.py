"""What every command does first and last: become the service user, read settings, open the log, show the result."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from pgkeeper.cli.progress import watcher
from pgkeeper.cli.say import complain
from pgkeeper.host.user import as_service_user
from pgkeeper.model.progress import NullProgress, Progress
from pgkeeper.settings import Settings

Report = TypeVar("Report", bound=BaseModel)
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
JobOption = Annotated[
    str | None,
    typer.Option("--job", metavar="ID", help="Name of the job as which this is recorded.", show_default=False),
]


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress; results, warnings and errors only.")]


@dataclass(frozen=True)
class Door:
    """An open door: settings are read, the log is open, we are the service user, which root became where `for_root`."""

    settings: Settings
    json: bool
    quiet: bool
    for_root: bool = False

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Yield what shows progress: a bar on a terminal, lines in a pipe, nothing with `--json` or `--quiet`."""
        if self.json or self.quiet:
            yield NullProgress()
            return
        with watcher() as progress:
            yield progress

    def show(self, shape: str, report: BaseModel | dict[str, Any], people: Callable[[], None]) -> None:
        """Show a result: as the document `pgkeeper.<shape>/1`, or by calling `people`."""
        if self.json:
            print_document(shape, report)
        else:
            people()

    def pasted(self, command: str) -> str:
        """Return a command of the service user's as our caller can paste it: PostgreSQL lets in only who is that user."""
        return as_service_user(command, pty=True) if self.for_root else command

    def warn(self, text: str) -> None:
        """Say something on stderr."""
        complain(f"warning: {text}")


def open_door(*, json: bool = False, quiet: bool = False) -> Door:
    """Open the door. Raises ConfigurationError (exit status 3)."""
    from pgkeeper.catalog.catalog import shared_catalog
    from pgkeeper.host import user
    from pgkeeper.host.logs import configure_logs
    from pgkeeper.settings import load_settings

    for_root = user.become_service_user()
    settings = load_settings()
    door = Door(settings, json, quiet, for_root)
    shared_catalog(settings.state_dir, settings.catalog_url.get_secret_value()).tell = door.warn
    problem = configure_logs(settings.log_dir)
    for warning in (*settings.warnings, *([problem] if problem else [])):
        door.warn(warning)
    return door


def work(door: Door, verb: str, job: str | None, shape: type[Report], operation: Callable[[Progress], Report]) -> Report:
    """Run a long operation with its progress shown, and recorded as a job.

    A job that was done before is not done again: its report (a `shape`) is returned. Raises whatever the operation raises; the job then
    holds the error.
    """
    from pgkeeper.operations.jobs import as_job

    with door.progress() as progress:
        return as_job(door.settings, verb, job, shape, progress, operation)


def print_document(shape: str, report: BaseModel | dict[str, Any]) -> None:
    """Print the one JSON document of this run."""
    data = report.model_dump(mode="json") if isinstance(report, BaseModel) else report
    print(json.dumps({"schema": f"pgkeeper.{shape}/1", **data}, indent=2, ensure_ascii=True))


def finish(status: int) -> None:
    """End the command with `status`."""
    if status:
        raise typer.Exit(status)
