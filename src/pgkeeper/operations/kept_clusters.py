"""What recoveries have left on this host: clusters recovered beside production, and production's files of before replacements."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pgkeeper.host.locks import is_held
from pgkeeper.host.used_space import bytes_in
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.exchange import kept_by
from pgkeeper.operations.cluster_replacements import cluster_replacements
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.recovered_places import recovered_places
from pgkeeper.operations.reports import Message
from pgkeeper.operations.side_place import marker_of, side_cluster
from pgkeeper.postgres.side_cluster import PORT
from pgkeeper.settings import Settings


class RecoveredCluster(Message):
    """A cluster that was recovered beside production. Its socket lies in `directory`.

    `state`: `begun` (under way while `at_work`, else interrupted or failed), `recovered`, or `unknown`, where the directory
    does not say what it is. `target` and `since` are None then. `size_bytes` is None where it was not measured.
    """

    name: str
    directory: Path
    state: Literal["begun", "recovered", "unknown"]
    at_work: bool
    running: bool
    port: int = PORT
    target: str | None = None
    since: datetime | None = None
    size_bytes: int | None


class KeptDirectory(Message):
    """Files that production had before a replacement of the cluster, or before that was undone; `paths` has the data directory first.

    `undo_needs_it`: `pgkeeper pitr undo` would bring these files back. `half_removed`: a removal of it was interrupted.
    """

    name: str
    paths: tuple[Path, ...]
    replacement_id: str
    since: datetime
    undo_needs_it: bool
    half_removed: bool
    size_bytes: int | None


class InterruptedReplacement(Message):
    """A replacement of the cluster that has not come to its end; `at_work` while somebody sees to that. `paths` are what it has made."""

    replacement_id: str
    step: str
    since: datetime
    at_work: bool
    paths: tuple[Path, ...]


def recovered_clusters(settings: Settings, *, measured: bool = True) -> tuple[RecoveredCluster, ...]:
    """Return the clusters that were recovered beside, those of interrupted recoveries included; `measured` looks at each of their files."""
    replacing = {path for one in interrupted_replacements(settings) for path in one.paths}
    return tuple(
        _recovered(directory, settings, measured=measured) for directory in recovered_places(settings) if directory not in replacing
    )


def kept_directories(settings: Settings, *, measured: bool = True) -> tuple[KeptDirectory, ...]:
    """Return what finished replacements have kept and is still there, the newest first; `measured` looks at each file of it."""
    done = [known for known in cluster_replacements(settings) if known.step == "done"]
    undoable = done[0].replacement_id if done and done[0].kind == "replace" and not done[0].in_place else ""
    found = []
    for known in done:
        # Undoing a replacement takes the files out of a tablespace's directory, and leaves that one empty.
        there = [path for root in roots_kept(known) for path in (root, removing(root)) if _holds_something(path)]
        if there:
            found.append(_kept(known, there, undo_needs_it=known.replacement_id == undoable, measured=measured))
    return tuple(found)


def names_left(settings: Settings) -> tuple[str, ...]:
    """Return the names of all recovered clusters and kept directories."""
    recovered = (one.name for one in recovered_clusters(settings, measured=False))
    return (*recovered, *(one.name for one in kept_directories(settings, measured=False)))


def interrupted_replacements(settings: Settings) -> tuple[InterruptedReplacement, ...]:
    """Return the replacements of the cluster that have not come to their end."""
    return tuple(
        InterruptedReplacement(
            replacement_id=known.replacement_id,
            step=known.step,
            since=known.begun_at,
            at_work=is_held(settings.state_dir, LOCK),
            paths=tuple(path for path in map(Path, known.coming) if path.is_dir()),
        )
        for known in cluster_replacements(settings)
        if not known.finished
    )


def roots_kept(known: ClusterReplacement) -> tuple[Path, ...]:
    """Return each directory that a replacement keeps as a whole: the data directory's, and one within each tablespace's location."""
    kept = [Path(path) for path in kept_by(known.moves)]
    beside = Path(known.data_directory).parent
    return tuple(path if path.parent == beside else path.parent for path in kept)


def removing(root: Path) -> Path:
    """Return the name that a kept directory has while it is being removed: nobody takes it for a whole one."""
    return root.with_name(f".{root.name.lstrip('.')}.removing")


def kept_name(known: ClusterReplacement) -> str:
    """Return what a kept directory is called: the data directory's own name, or the replacement's where none was there to be kept."""
    data = next((path for path in roots_kept(known) if path.parent == Path(known.data_directory).parent), None)
    return data.name if data else known.replacement_id


def _recovered(directory: Path, settings: Settings, *, measured: bool) -> RecoveredCluster:
    try:
        marker = marker_of(directory)
    except OperationFailed:
        marker = None
    return RecoveredCluster(
        name=directory.name,
        directory=directory,
        state=marker.state if marker else "unknown",
        at_work=is_held(settings.state_dir, f"side {directory}"),
        running=side_cluster(directory).running,
        target=marker.target if marker else None,
        since=(marker.recovered_at or marker.made_at) if marker else None,
        size_bytes=bytes_in(directory) if measured else None,
    )


def _kept(known: ClusterReplacement, there: list[Path], *, undo_needs_it: bool, measured: bool) -> KeptDirectory:
    half = any(path.name.endswith(".removing") for path in there)
    return KeptDirectory(
        name=kept_name(known),
        paths=tuple(there),
        replacement_id=known.replacement_id,
        since=known.changed_at,
        undo_needs_it=undo_needs_it and not half,
        half_removed=half,
        size_bytes=sum(map(bytes_in, there)) if measured else None,
    )


def _holds_something(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and any(path.iterdir())
