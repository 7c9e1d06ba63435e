"""Finish what a killed replacement of a cluster left: on production's own files or on the new ones, never between, and all running."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from pgkeeper.host.durable import fsync_directory
from pgkeeper.host.logs import log
from pgkeeper.host.services import Services
from pgkeeper.model.cluster_replacement import ClusterReplacement, cluster_ending
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.exchange import Move, stand
from pgkeeper.model.progress import Progress
from pgkeeper.operations.cluster_replacements import ClusterJournal, cluster_replacements
from pgkeeper.postgres.data_directory import is_running, link_tablespaces
from pgkeeper.settings import Settings


def server_unit(settings: Settings) -> Services:
    """Return what stops and starts PostgreSQL itself: a helper of root's with a list of its own."""
    return Services(("PostgreSQL",), settings.state_dir, "server")


def settle_clusters(settings: Settings, progress: Progress) -> list[str]:
    """Settle every replacement of the cluster that is not finished; the caller holds the lock of replacements, so nobody is at it.

    Returns what was done, a line each. Raises PgkeeperError when production can't be brought up.
    """
    return [settle_cluster(settings, known, progress) for known in cluster_replacements(settings) if not known.finished]


def settle_cluster(settings: Settings, known: ClusterReplacement, progress: Progress) -> str:
    """Settle one; returns what was done, for people."""
    progress.phase(f"settle {known.replacement_id}")
    data = Path(known.data_directory)
    try:
        how, done = stand(known.moves, lambda path: Path(path).exists()) if known.moves else ("before", 0)
    except ValueError as error:
        raise OperationFailed(
            f"{known.replacement_id} cannot be settled", f"{error}; its renames were {_told(known.moves)}", "put them right by hand"
        ) from error
    ending = cluster_ending(known, how)
    if known.touched:
        if ending == "go_on":
            link_tablespaces(data, {oid: Path(location) for oid, location in known.tablespaces.items()})
        elif done:
            server_unit(settings).stop()
            if is_running(data):
                raise OperationFailed("PostgreSQL did not stop", f"a server still runs on {data}")
            take(move.back for move in reversed(known.moves[:done]))
        server_unit(settings).start()
        Services(settings.app_services, settings.state_dir).start()
    clear_up(known)
    ClusterJournal(settings, known.replacement_id).note("done" if ending == "go_on" else "undone")
    log.warning("cluster replacement settled", replacement_id=known.replacement_id, ending=ending)
    what = "undoing the recovery of the cluster" if known.kind == "undo" else "replacing the cluster by the recovered one"
    if ending == "go_on":
        return f"{what} had been done, but for the end; PostgreSQL and services run"
    return f"{what} was given up; PostgreSQL has the files it had before" + (", and services run" if known.touched else "")


def clear_up(known: ClusterReplacement) -> None:
    """Remove what was made for a replacement, and has not become production's."""
    for path in known.coming:
        shutil.rmtree(path, ignore_errors=True)


def take(moves: Iterable[Move]) -> None:
    """Take renames, each durable before the next. Raises OperationFailed at the first that can't be; those before it stay taken."""
    for move in moves:
        source, target = Path(move.source), Path(move.target)
        try:
            if target.exists():
                raise FileExistsError(17, "it is there already", str(target))
            target.parent.mkdir(mode=0o700, exist_ok=True)
            source.rename(target)
            fsync_directory(target.parent)
            fsync_directory(source.parent)
        except OSError as error:
            raise OperationFailed(f"cannot rename {source} to {target}", error.strerror or str(error)) from error


def _told(moves: Iterable[Move]) -> str:
    return ", ".join(f"{move.source} to {move.target}" for move in moves)
