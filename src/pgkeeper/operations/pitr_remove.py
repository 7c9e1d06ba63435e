"""Remove a recovered cluster, or files that a replacement of the cluster has kept, because their owner says so.

Nothing goes by its name alone: a recovered cluster has our marker, and a kept directory stands in the journal of a finished replacement.
"""

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from pgkeeper.host.apart import lies_in
from pgkeeper.host.durable import fsync_directory
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.host.owned import not_ours
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import OperationFailed, RefusedError, UsageError
from pgkeeper.model.shell import quoted
from pgkeeper.operations.cluster_replacements import cluster_replacements
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.kept_clusters import KeptDirectory, RecoveredCluster, kept_directories, recovered_clusters, removing, roots_kept
from pgkeeper.operations.pitr import require_pitr
from pgkeeper.operations.reports import Message
from pgkeeper.operations.side_place import productions_places
from pgkeeper.operations.side_server import stop_side
from pgkeeper.postgres.data_directory import is_running, system_identifier_in
from pgkeeper.settings import Settings


class PitrRemoveReport(Message):
    """What went, or would go where not `removed`. `undo_needed_it`: without it the last replacement cannot be undone."""

    name: str
    paths: tuple[Path, ...]
    size_bytes: int | None
    running: bool
    undo_needed_it: bool
    removed: bool


def pitr_remove(name: str, confirmation: str, settings: Settings, wait: timedelta = timedelta()) -> PitrRemoveReport:
    """Remove what `pgkeeper pitr list` calls `name`, a recovered cluster's server first; without a `confirmation` only say what would go.

    Raises UsageError where nothing has that name, RefusedError for another `confirmation` than the name and where not all of it is ours
    to remove, BusyError while a recovery is at work there. Killed in the middle, the next one goes on.
    """
    require_pitr(settings)
    if confirmation not in ("", name):
        raise RefusedError(f"{name} was not removed", f"the confirmation is {confirmation!r}", f"confirm with --confirm {name}")
    with exclusive(settings.state_dir, LOCK, "a replacement of the cluster", wait):
        found = _find(name, settings)
        if isinstance(found, RecoveredCluster):
            return _remove_recovered(found, settings, dry_run=not confirmation)
        return _remove_kept(found, settings, dry_run=not confirmation)


def _find(name: str, settings: Settings) -> RecoveredCluster | KeptDirectory:
    there: list[RecoveredCluster | KeptDirectory] = [*recovered_clusters(settings), *kept_directories(settings)]
    found = [one for one in there if one.name == name]
    if not found:
        raise UsageError(f"there is no recovered cluster and no kept directory {name}", "", "`pgkeeper pitr list` names them")
    if len(found) > 1:
        hint = "stop and remove a recovered one by its directory: pgkeeper pitr stop DIRECTORY --remove"
        raise RefusedError(f"{name} was not removed", f"{len(found)} have that name", hint)
    return found[0]


def _remove_recovered(found: RecoveredCluster, settings: Settings, *, dry_run: bool) -> PitrRemoveReport:
    directory = found.directory
    if found.state == "unknown":
        raise RefusedError(f"{directory} was not removed", "it does not say that pgkeeper made it", "look into it, and remove it by hand")
    _require_ours([directory], settings)
    if not dry_run:
        stop_side(directory, settings, clear=True)
        log.info("recovered cluster removed", directory=str(directory))
    return PitrRemoveReport(
        name=found.name,
        paths=(directory,),
        size_bytes=found.size_bytes,
        running=found.running,
        undo_needed_it=False,
        removed=not dry_run,
    )


def _remove_kept(found: KeptDirectory, settings: Settings, *, dry_run: bool) -> PitrRemoveReport:
    replacements = cluster_replacements(settings)
    open_one = next((one for one in replacements if not one.finished), None)
    if open_one is not None:
        why = f"replacement {open_one.replacement_id} was interrupted, and may need it"
        raise RefusedError(f"{found.name} was not removed", why, "first: pgkeeper pitr resume")
    known = next(one for one in replacements if one.replacement_id == found.replacement_id)
    roots = roots_kept(known)
    there = [path for root in roots for path in (root, removing(root)) if path.is_symlink() or path.exists()]
    _require_ours(there, settings)
    _require_kept(there, known)
    if not dry_run:
        try:
            # All names first: from then on nothing takes any of it for whole.
            for root in roots:
                if root.is_dir() and not removing(root).exists():
                    root.rename(removing(root))
                    fsync_directory(root.parent)
            for root in roots:
                if removing(root).is_dir():
                    shutil.rmtree(removing(root))
                    fsync_directory(root.parent)
        except OSError as error:
            hint = f"once that is mended: pgkeeper pitr remove {quoted(found.name)} --confirm {quoted(found.name)}"
            raise OperationFailed(f"{found.name} was not removed altogether", f"{error.filename}: {error.strerror}", hint) from error
        log.info("kept directory removed", name=found.name, replacement_id=found.replacement_id)
    return PitrRemoveReport(
        name=found.name,
        paths=found.paths,
        size_bytes=found.size_bytes,
        running=False,
        undo_needed_it=found.undo_needs_it,
        removed=not dry_run,
    )


def _require_ours(paths: Iterable[Path], settings: Settings) -> None:
    """Refuse what production has a place in, what a link leads to, and what holds somebody else's files."""
    for path in paths:
        if path.is_symlink() or path.resolve() != path.absolute().parent.resolve() / path.name:
            raise RefusedError(f"{path} was not removed", "it is a link", "look where it leads, and remove it by hand")
        inside = next((place for place in productions_places(settings) if lies_in(place, [path]) is not None), None)
        if inside is not None:
            raise RefusedError(f"{path} was not removed", f"{inside}, which is production's, lies in it")
        if (theirs := not_ours(path)) is not None:
            hint = f"look whose it is; if it may go: chown -h postgres:postgres {theirs}"
            raise RefusedError(f"{path} was not removed", f"{theirs} is not postgres's own", hint)


def _require_kept(paths: Iterable[Path], known: ClusterReplacement) -> None:
    """Refuse a directory in which a server runs, or that holds another cluster's files than the replacement kept."""
    for path in paths:
        if is_running(path):
            raise RefusedError(f"{path} was not removed", "a PostgreSQL server runs on it", "stop that server first")
        if system_identifier_in(path) not in (None, known.system_identifier):
            why = f"it holds another cluster than {known.system_identifier}, whose files were kept there"
            raise RefusedError(f"{path} was not removed", why, "look into it, and remove it by hand")
