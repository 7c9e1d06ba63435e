"""The moment in which production becomes a recovered cluster: stop, give it the files, start, look, archive, start.

What is done here is written down before it is done. Whatever goes wrong, `settle_cluster` brings production up again: on the new files if
anybody may have written to them, on its own otherwise. Only where its own were written over, and the new ones are not whole, it can't.
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
    goes wrong after production was touched: then everything is up again, if it was before.
    """
    return _replace(journal, recover, lambda: _exchange_files(journal, progress), settings, progress)


def exchange_in_place(
    journal: ClusterJournal, prepare: Callable[[], None], recover: Callable[[], None], settings: Settings, progress: Progress
) -> tuple[ClusterReplacement, Exchanged]:
    """Do what has to be done while production runs, stop it, and do what recovers it over its own files, and notes that in the journal.

    Returns and raises as `exchange_recovered`; but once `recover` has begun to write, production stays down when it fails.
    """
    return _replace(journal, prepare, recover, settings, progress)


def _replace(
    journal: ClusterJournal, before: Callable[[], None], while_down: Callable[[], None], settings: Settings, progress: Progress
) -> tuple[ClusterReplacement, Exchanged]:
    try:
        before()
        exchanged = _exchange(journal, while_down, settings, progress)
    except PgkeeperError as error:
        said = _recover(journal, settings, progress)
        if not said:
            raise
        raise error.hinting(said) from error
    except BaseException:
        _recover(journal, settings, progress)
        raise
    known = _read(journal)
    clear_up(known)
    journal.note("done")
    return known, exchanged


def _exchange(journal: ClusterJournal, while_down: Callable[[], None], settings: Settings, progress: Progress) -> Exchanged:
    """Stop production, give it its new files by `while_down`, and bring it up on them."""
    services = Services(settings.app_services, settings.state_dir)
    began = time.monotonic()
    progress.phase("stop services and PostgreSQL")
    journal.note("stopping")
    services.stop()
    server_unit(settings).stop()
    data = Path(_read(journal).data_directory)
    if is_running(data):
        raise OperationFailed("PostgreSQL did not stop", f"a server still runs on {data}", "see journalctl -u postgresql@*")
    while_down()
    progress.phase("start PostgreSQL")
    journal.note("checking")
    server_unit(settings).start()
    _look(_read(journal), settings)
    progress.phase("archive")
    journal.note("archiving")
    archived = archives(server(settings), timedelta(seconds=_START_SECONDS))
    progress.phase("start services")
    journal.note("starting")
    services.start()
    return Exchanged(round(time.monotonic() - began, 3), archived)


def _exchange_files(journal: ClusterJournal, progress: Progress) -> None:
    """Put the recovered files in the place of production's, as the journal says."""
    progress.phase("exchange files")
    journal.note("exchanging")
    known = _read(journal)
    take(known.moves)
    link_tablespaces(Path(known.data_directory), {oid: Path(location) for oid, location in known.tablespaces.items()})


def _read(journal: ClusterJournal) -> ClusterReplacement:
    known = journal.read()
    assert known is not None
    return known


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
    """Bring production up, if it was touched; return for the owner how it is now. Empty where it is as it was."""
    known = journal.read()
    if known is None:
        return ""
    try:
        settled = settle_cluster(settings, known, progress)
        said = settled.said if known.touched or settled.down else ""
    except PgkeeperError as error:
        failed = "production could not be brought up again" if known.touched else "what was begun could not be cleared up"
        said = f"{failed} ({error}); try once more with `pgkeeper pitr resume`"
    if said:
        progress.note(said)
    return said
