"""On which timeline production is, and on which it was: that decides where a recovery goes, whatever others have archived.

A server that was made from a copy of production, and archives into the same repository, begins timelines there, too.
"""

from collections.abc import Mapping
from pathlib import Path

from pgkeeper.host.logs import log
from pgkeeper.model.errors import ConfigurationError, OperationFailed, PgkeeperError
from pgkeeper.model.timelines import Lineage, history_name, named_in, way_to
from pgkeeper.operations.cluster_replacements import cluster_replacements
from pgkeeper.operations.pitr_marks import read_marks
from pgkeeper.operations.places import server
from pgkeeper.pgbackrest.configuration import configured_paths
from pgkeeper.postgres.archiver import history_file
from pgkeeper.postgres.data_directory import timeline_of_files
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_IN_USE = ("checking", "archiving", "starting", "done")
"""From this step of a replacement on production's server may have run on the timeline it noted."""


def production_lineage(settings: Settings, system_identifier: str, histories: Mapping[int, str]) -> Lineage | None:
    """Return where the cluster of a repository is, as its server says, else as the files say that it left.

    `histories` are the repository's, for a timeline whose own history file production has lost. None where nobody knows: production is
    lost, or is being put together by a recovery in place, or another cluster runs in its place.
    """
    found = _of_server(settings, system_identifier) or _of_files(settings, system_identifier)
    if found is None:
        return None
    timeline, data = found
    history = _history(timeline, data, histories)
    parents = {parent for parent, _ in named_in(timeline, history)}
    return Lineage(timeline, way_to(timeline, history), frozenset({timeline} | parents | _recorded(settings, system_identifier)))


def _of_server(settings: Settings, system_identifier: str) -> tuple[int, Path] | None:
    try:
        with server(settings).connect_maintenance() as session, told("asking on which timeline production is"):
            found = identify(session)
            if found.standby or found.system_identifier != system_identifier:
                return None
            history = history_file(session)
            return int(history.stem, 16) if history else 1, Path(found.data_directory)
    except PgkeeperError:
        return None


def _of_files(settings: Settings, system_identifier: str) -> tuple[int, Path] | None:
    data, _ = configured_paths(settings.pitr_config_file, settings.pitr_stanza)
    if data is None or SideCluster(data, data).configured:
        return None
    try:
        timeline = timeline_of_files(data, system_identifier)
    except (OperationFailed, ConfigurationError):
        return None
    return (timeline, data) if timeline else None


def _history(timeline: int, data: Path, histories: Mapping[int, str]) -> str:
    """Return production's own history, or else the repository's; nothing where neither can be used."""
    try:
        own = (data / "pg_wal" / history_name(timeline)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        own = None
    for text in (own, histories.get(timeline)):
        try:
            named_in(timeline, text or "")
        except ValueError as error:
            log.warning("a history of production's timeline cannot be used", timeline=timeline, error=str(error))
            continue
        if text is not None:
            return text
    return ""


def _recorded(settings: Settings, system_identifier: str) -> set[int]:
    """Return the timelines that pgkeeper put production on, or found it on as it made a mark: what was undone is in no history."""
    replaced = {
        known.timeline
        for known in cluster_replacements(settings)
        if known.timeline and known.system_identifier == system_identifier and known.step in _IN_USE
    }
    try:
        return replaced | {mark.timeline for mark in read_marks(settings).marks}
    except OperationFailed:
        # Whoever needs the marks says what is wrong with them.
        return replaced
