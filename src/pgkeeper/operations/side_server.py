"""Stop and start what was recovered beside production."""

from contextlib import AbstractContextManager
from pathlib import Path

from pgkeeper.host.locks import exclusive
from pgkeeper.model.errors import RefusedError
from pgkeeper.operations.recovered_places import forget_place
from pgkeeper.operations.side_place import marker_of, remove, require_side
from pgkeeper.settings import Settings


def start_side(directory: Path, settings: Settings) -> None:
    """Start a side cluster that was stopped, or went down with the host; nothing happens while it runs.

    Raises UsageError when there is none, RefusedError when its recovery was not finished, OperationFailed when it does not start.
    """
    cluster = require_side(directory)
    with _alone(directory, settings):
        marker = marker_of(directory)
        if marker is None or marker.state != "recovered":
            raise RefusedError(f"{directory} holds no whole cluster", "its recovery was not finished", "recover once more into it")
        cluster.start()


def stop_side(directory: Path, settings: Settings, *, clear: bool) -> None:
    """Stop a side cluster, and with `clear` remove it. Raises UsageError when there is none, BusyError while it is being recovered."""
    cluster = require_side(directory)
    with _alone(directory, settings):
        if clear:
            remove(cluster)
            forget_place(settings, directory)
        else:
            cluster.stop()


def _alone(directory: Path, settings: Settings) -> AbstractContextManager[None]:
    what = f"a recovery into {directory}"
    return exclusive(settings.state_dir, f"side {directory}", what, hint="wait until it has ended, or interrupt it")
