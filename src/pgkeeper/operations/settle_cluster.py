"""Finish what a killed replacement of a cluster left: on production's own files or on the new ones, never between, and all running.

A replacement in place that was killed before its files were whole can't be finished so: production stays down, and a new one begins there.
"""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pgkeeper.host.durable import fsync_directory
from pgkeeper.host.logs import log
from pgkeeper.host.services import Services
from pgkeeper.model.cluster_replacement import ClusterReplacement, cluster_ending
from pgkeeper.model.errors import OperationFailed, PgkeeperError
from pgkeeper.model.exchange import Move, stand
from pgkeeper.model.progress import Progress
from pgkeeper.operations.cluster_replacements import ClusterJournal, cluster_replacements
from pgkeeper.operations.fit_for_production import prepare_for_production
from pgkeeper.operations.places import server
from pgkeeper.pgbackrest.restore import is_restoring
from pgkeeper.postgres.data_directory import is_running, link_tablespaces
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_RESTORING_SECONDS = 120
_POLL_SECONDS = 0.2


class Settled(NamedTuple):
    """What became of a replacement that was not finished: what was done, for people; `down` says why production stays down all the same."""

    known: ClusterReplacement
    said: str
    down: OperationFailed | None = None


def server_unit(settings: Settings) -> Services:
    """Return what stops and starts PostgreSQL itself: a helper of root's with a list of its own."""
    return Services(("PostgreSQL",), settings.state_dir, "server")


def settle_clusters(settings: Settings, progress: Progress) -> list[Settled]:
    """Settle every replacement of the cluster that is not finished; the caller holds the lock of replacements, so nobody is at it.

    Returns what was done. Raises PgkeeperError when production can't be brought up.
    """
    return [settle_cluster(settings, known, progress) for known in cluster_replacements(settings) if not known.finished]


def require_up(settled: Iterable[Settled]) -> None:
    """Raise OperationFailed where production stays down, since its files are of no use."""
    for one in settled:
        if one.down:
            raise one.down


def settle_cluster(settings: Settings, known: ClusterReplacement, progress: Progress) -> Settled:
    """Settle one."""
    progress.phase(f"settle {known.replacement_id}")
    data = Path(known.data_directory)
    try:
        how, done = stand(known.moves, lambda path: Path(path).exists()) if known.moves else ("before", 0)
    except ValueError as error:
        raise OperationFailed(
            f"{known.replacement_id} cannot be settled", f"{error}; its renames were {_told(known.moves)}", "put them right by hand"
        ) from error
    ending = cluster_ending(known, how)
    if ending == "stay_down" and _brought_up(settings, known):
        return _give_up(settings, known)
    if ending == "stay_down" or (ending == "go_back" and done):
        _stop(settings, data)
        take(move.back for move in reversed(known.moves[:done]))
    if ending == "stay_down":
        if not known.in_place:
            # In place it is little, and says why recovery ended.
            clear_up(known)
        return _down(
            known,
            f"{known.replacement_id} did not come to its end, and the files in {data} are of no use until a recovery is finished",
            "`pgkeeper pitr restore --replace --in-place` finishes one, to the same moment or another, faster than the first time; "
            "without --in-place where there is room",
        )
    if ending == "go_on":
        _finish(settings, known)
    if known.touched:
        try:
            server_unit(settings).start()
        except OperationFailed as error:
            # Nobody can have written to them.
            if ending == "go_on" and known.step in ("recovered", "exchanging", "checking"):
                hint = "put right what keeps it, then `pgkeeper pitr resume`; or recover to another moment with --replace --in-place"
                return _down(known, f"PostgreSQL does not start on the recovered files: {error.why or error.what}", hint)
            raise
        Services(settings.app_services, settings.state_dir).start()
    clear_up(known)
    ClusterJournal(settings, known.replacement_id).note("done" if ending == "go_on" else "undone")
    log.warning("cluster replacement settled", replacement_id=known.replacement_id, ending=ending)
    what = "undoing the recovery of the cluster" if known.kind == "undo" else "replacing the cluster by the recovered one"
    if ending == "go_on":
        backup = "a full backup is still due: `pgkeeper pitr backup --kind full`"
        return Settled(known, f"{what} had been done, but for the end; PostgreSQL and services run, {backup}")
    return Settled(known, f"{what} was given up; PostgreSQL has the files it had before" + (", and services run" if known.touched else ""))


def close_unusable(settings: Settings, settled: Iterable[Settled]) -> None:
    """End the journals of those that left production down; the journal of whoever takes over says so by now."""
    for one in settled:
        if one.down:
            clear_up(one.known)
            ClusterJournal(settings, one.known.replacement_id).note("undone")


def _finish(settings: Settings, known: ClusterReplacement) -> None:
    """Do what is left to do with files that are whole before PostgreSQL is started on them."""
    data = Path(known.data_directory)
    if not known.in_place:
        link_tablespaces(data, {oid: Path(location) for oid, location in known.tablespaces.items()})
    elif known.step == "recovered":
        _stop(settings, data)
        prepare_for_production(SideCluster(Path(known.coming[0]), data), known.timeline)
        # From now on production's own settings are in their place, and what they were fetched from may go.
        ClusterJournal(settings, known.replacement_id).note("checking")


def _stop(settings: Settings, data: Path) -> None:
    """Let nobody be at production's files: PostgreSQL, a server of ours, or a pgBackRest that writes. Raises OperationFailed."""
    server_unit(settings).stop()
    # A server that recovers goes on when we are killed, and the helper does not know it.
    SideCluster(data, data).stop()
    if is_running(data):
        raise OperationFailed("PostgreSQL did not stop", f"a server still runs on {data}")
    _await_restored(data)


def _await_restored(data: Path) -> None:
    """Return when no pgBackRest of ours writes to a data directory any more. Raises OperationFailed when it does not end."""
    deadline = time.monotonic() + _RESTORING_SECONDS
    while is_restoring(data):
        if time.monotonic() > deadline:
            raise OperationFailed(f"pgBackRest still writes to {data}", "it was begun before", "end it, then try again")
        time.sleep(_POLL_SECONDS)


def _brought_up(settings: Settings, known: ClusterReplacement) -> bool:
    """Tell whether production's server answers, on the files that were of no use: somebody has repaired them.

    A server on a mixture can't: ours has its sockets elsewhere, as has whoever else starts it before the files are given back.
    """
    try:
        with server(settings).connect_maintenance() as session, told("looking whether production runs"):
            found = identify(session)
    except PgkeeperError:
        return False
    return (found.system_identifier, found.data_directory, found.standby) == (known.system_identifier, known.data_directory, False)


def _down(known: ClusterReplacement, why: str, hint: str) -> Settled:
    log.warning("production stays down", replacement_id=known.replacement_id, why=why)
    error = OperationFailed("production is down", why, hint)
    return Settled(known, str(error), error)


def _give_up(settings: Settings, known: ClusterReplacement) -> Settled:
    """End the journal of one that left production down, where somebody has brought it up since, and start the services."""
    Services(settings.app_services, settings.state_dir).start()
    clear_up(known)
    ClusterJournal(settings, known.replacement_id).note("undone")
    return Settled(known, f"{known.replacement_id} was given up; somebody has brought production up since")


def clear_up(known: ClusterReplacement) -> None:
    """Remove what was made for a replacement, and has not become production's; whoever of ours is still at it is ended before.

    Raises OperationFailed where that can't be done.
    """
    if known.recovering and Path(known.recovering).is_dir():
        _end_recovery(known, SideCluster(Path(known.coming[0]), Path(known.recovering)))
    for path in known.coming:
        shutil.rmtree(path, ignore_errors=True)


def _end_recovery(known: ClusterReplacement, side: SideCluster) -> None:
    """Let nobody of ours be at files that have not become production's. An undo that comes later begins with the same ones anew."""
    # Whatever runs there without our settings is not ours.
    if side.configured:
        side.stop()
    _await_restored(side.data)
    if known.kind == "undo":
        # They must not be kept with our settings alone. Links to tablespaces stay, as they lead to the files that belong to these.
        side.give_back()


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
