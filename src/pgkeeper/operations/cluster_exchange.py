"""The moment in which a whole cluster takes another's place: stop, rename, start, look, archive, start.

What is done here is written down before it is done. Whatever goes wrong, `settle_cluster` brings production up again: on the new files if
anybody may have written to them, on its own otherwise.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pgkeeper.host.services import Services
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import OperationFailed, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.operations.cluster_replacements import ClusterJournal
from pgkeeper.operations.places import server
from pgkeeper.operations.settle_cluster import clear_up, server_unit, settle_cluster, take
from pgkeeper.postgres.archiving import Archiving, archives
from pgkeeper.postgres.data_directory import is_running, link_tablespaces
from pgkeeper.postgres.facts import ClusterIdentity, identify
from pgkeeper.postgres.server import told
from pgkeeper.settings import Settings

_START_SECONDS = 300
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Exchanged:
    """What came of it: for how many seconds production was down, and whether its log is archived."""

    downtime_seconds: float
    archived: Archiving


def exchange_recovered(
    journal: ClusterJournal, recover: Callable[[], None], settings: Settings, progress: Progress
) -> tuple[ClusterReplacement, Exchanged]:
    """Do what recovers the cluster beside, which notes in the journal how files are exchanged, and exchange them.

    Returns what the journal tells then, and what came of it. Raises what `recover` raises, after what it left was cleared up, and what
    goes wrong after production was touched: then everything is up again.
    """
    try:
        recover()
    except BaseException:
        if known := journal.read():
            settle_cluster(settings, known, progress)
        raise
    known = journal.read()
    assert known is not None
    return known, _exchange(journal, known, settings, progress)


def _exchange(journal: ClusterJournal, known: ClusterReplacement, settings: Settings, progress: Progress) -> Exchanged:
    """Put the recovered files in the place of production's, as `known` says. Raises PgkeeperError after everything is up again."""
    services = Services(settings.app_services, settings.state_dir)
    began = time.monotonic()
    try:
        progress.phase("stop services and PostgreSQL")
        journal.note("stopping")
        services.stop()
        server_unit(settings).stop()
        data = Path(known.data_directory)
        if is_running(data):
            raise OperationFailed("PostgreSQL did not stop", f"a server still runs on {data}", "see journalctl -u postgresql@*")
        progress.phase("exchange files")
        journal.note("exchanging")
        take(known.moves)
        link_tablespaces(data, {oid: Path(location) for oid, location in known.tablespaces.items()})
        progress.phase("start PostgreSQL")
        journal.note("checking")
        server_unit(settings).start()
        _look(known, settings)
        progress.phase("archive")
        journal.note("archiving")
        archived = archives(server(settings), timedelta(seconds=_START_SECONDS))
        progress.phase("start services")
        journal.note("starting")
        services.start()
    except PgkeeperError as error:
        said = _recover(journal, settings, progress)
        raise type(error)(error.what, error.why, "; ".join(part for part in (error.hint, said) if part)) from error
    except BaseException:
        _recover(journal, settings, progress)
        raise
    clear_up(known)
    journal.note("done")
    return Exchanged(round(time.monotonic() - began, 3), archived)


def _look(known: ClusterReplacement, settings: Settings) -> None:
    """See that production is the recovered cluster, on its timeline, and takes writes. Raises OperationFailed."""
    found = _identity_once_up(settings)
    wanted = (known.system_identifier, known.timeline, known.data_directory, False)
    if (found.system_identifier, found.timeline, found.data_directory, found.standby) != wanted:
        raise OperationFailed(
            "PostgreSQL runs on other files than the recovered ones",
            f"system identifier {found.system_identifier}, timeline {found.timeline} in {found.data_directory}",
        )


def _identity_once_up(settings: Settings) -> ClusterIdentity:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with server(settings).connect_maintenance() as session, told("looking at the recovered cluster"):
                return identify(session)
        except OperationFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _recover(journal: ClusterJournal, settings: Settings, progress: Progress) -> str:
    """Bring production up; return for the owner how it is now."""
    known = journal.read()
    if known is None:
        return ""
    try:
        said = settle_cluster(settings, known, progress)
    except PgkeeperError as error:
        said = f"production could not be brought up again ({error}); try once more with `pgkeeper pitr resume`"
    progress.note(said)
    return said
