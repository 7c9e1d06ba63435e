"""The directory of a side cluster: apart from everything of production's, and marked as ours."""

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pgkeeper.host.apart import lies_in
from pgkeeper.host.durable import fsync_directory, replace_file
from pgkeeper.model.errors import OperationFailed, PgkeeperError, RefusedError, UsageError
from pgkeeper.model.repository import RepositoryName
from pgkeeper.model.shell import quoted
from pgkeeper.model.sizes import format_size
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message
from pgkeeper.pgbackrest.configuration import configured_paths
from pgkeeper.postgres.data_directory import tablespace_links
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_MARKER = "pgkeeper-side.json"
_RESERVE = 256 << 20


class SideMarker(Message):
    """What a side directory says of itself: made by us, of which cluster, and whether it was finished.

    `asked` says what the request of the `request_id` was. What follows it is known once the cluster is recovered, `exports` once they
    were made.
    """

    state: Literal["begun", "recovered"]
    system_identifier: str
    made_at: datetime
    target: str
    request_id: str | None = None
    asked: str = ""
    repository: RepositoryName = "local"
    backup: str = ""
    timeline: int = 0
    new_timeline: int = 0
    recovered_at: datetime | None = None
    exports: tuple[Path, ...] | None = None


def side_cluster(directory: Path) -> SideCluster:
    """Return the side cluster of a directory."""
    return SideCluster(directory, directory / "data")


def marker_of(directory: Path) -> SideMarker | None:
    """Return what a directory says of itself, None when it is no side cluster's. Raises OperationFailed when it can't be read."""
    try:
        return SideMarker.model_validate_json((directory / _MARKER).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise OperationFailed(f"{directory / _MARKER} cannot be read", type(error).__name__, "remove the directory by hand") from error


def productions_places(settings: Settings) -> tuple[Path, ...]:
    """Return every directory that belongs to production: data, log, tablespaces, repositories, backups. Production need not run."""
    data, repositories = configured_paths(settings.pitr_config_file, settings.pitr_stanza)
    found = [settings.dir, settings.proof_dir, settings.log_dir, *repositories]
    datas = [data] if data else []
    try:
        with server(settings).connect_maintenance() as session, told("asking where production lies"):
            rows = session.execute("SELECT current_setting('data_directory') AS path").fetchall()
            datas += [Path(row["path"]) for row in rows]
    except PgkeeperError:
        pass
    for directory in datas:
        if directory.is_dir():
            found += [directory, directory / "pg_wal"]
    return tuple(dict.fromkeys([*found, *productions_tablespaces(settings)]))


def productions_tablespaces(settings: Settings) -> tuple[Path, ...]:
    """Return where production has its tablespaces. Production need not run; what is lost has none."""
    data, _ = configured_paths(settings.pitr_config_file, settings.pitr_stanza)
    found = list(tablespace_links(data).values()) if data and data.is_dir() else []
    try:
        with server(settings).connect_maintenance() as session, told("asking where production's tablespaces lie"):
            rows = session.execute("SELECT pg_tablespace_location(oid) AS path FROM pg_tablespace").fetchall()
            found += [Path(row["path"]) for row in rows if row["path"]]
    except PgkeeperError:
        pass
    return tuple(dict.fromkeys(found))


def require_place(directory: Path, places: Iterable[Path], needed_bytes: int) -> SideCluster:
    """Return the side cluster that may be made in a directory, or made again, where an interrupted recovery left one.

    Raises RefusedError where it lies in production's, holds anything else, or has too little room.
    """
    inside = lies_in(directory, places)
    if inside is not None:
        raise RefusedError(
            f"{directory} is no place for a side cluster", f"it lies in {inside}, which is production's", "choose another one"
        )
    cluster = side_cluster(directory)
    cluster.require_usable()
    if directory.exists() and any(directory.iterdir()):
        before = marker_of(directory)
        if before is None:
            raise RefusedError(f"{directory} is not empty", "what lies there is not a side cluster's", "choose another one, or empty it")
        if before.state == "recovered":
            hint = f"`pgkeeper pitr stop {quoted(directory)} --remove` ends and removes it"
            raise RefusedError(f"{directory} holds a side cluster", f"recovered to {before.target}", hint)
    else:
        _require_room(directory, needed_bytes)
    return cluster


def claim(directory: Path, marker: SideMarker, places: Iterable[Path], needed_bytes: int) -> SideCluster:
    """Make the directory of a new side cluster, or take the one that an interrupted recovery left; it is empty but for our marker then.

    Raises as `require_place` does, and OperationFailed where it can't be made.
    """
    cluster = require_place(directory, places, needed_bytes)
    if directory.exists() and any(directory.iterdir()):
        remove(cluster)
        _require_room(directory, needed_bytes)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        mark(directory, marker)
    except OSError as error:
        raise OperationFailed(f"cannot make {directory}", error.strerror or "", "user postgres must be able to write there") from error
    return cluster


def _require_room(directory: Path, needed_bytes: int) -> None:
    there = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed_bytes + _RESERVE:
        raise RefusedError(
            f"there is too little space in {directory}",
            f"the cluster takes {format_size(needed_bytes)}, {format_size(free)} are free",
            "choose another place with --to-dir",
        )


def mark(directory: Path, marker: SideMarker) -> None:
    """Write what a side directory says of itself. Raises OSError."""
    replace_file(directory / _MARKER, marker.model_dump_json(indent=2).encode())


def remove(cluster: SideCluster) -> None:
    """Stop a side cluster and remove its directory; the marker goes last, so that an interrupted removal is known for what it is."""
    cluster.stop()
    try:
        for path in cluster.directory.iterdir():
            if path.name == _MARKER:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (cluster.directory / _MARKER).unlink(missing_ok=True)
        fsync_directory(cluster.directory)
        cluster.directory.rmdir()
    except OSError as error:
        raise OperationFailed(f"cannot remove {cluster.directory}", error.strerror or str(error)) from error


def require_side(directory: Path) -> SideCluster:
    """Return the side cluster of a directory. Raises UsageError (exit status 2) when there is none."""
    if marker_of(directory) is None:
        raise UsageError(f"there is no side cluster in {directory}", "", "say the directory that `pgkeeper pitr restore` named")
    return side_cluster(directory)
