"""On which timeline production is, and on which it was: that decides where a recovery goes, whatever others have archived.

A server that was made from a copy of production, and archives into the same repository, begins timelines there, too. So it is written down
where production was seen last: when it is lost, the repository alone does not tell which timeline was its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import ConfigurationError, OperationFailed, PgkeeperError
from pgkeeper.model.timelines import Lineage, history_name, named_in, way_to
from pgkeeper.operations.cluster_replacements import cluster_replacements
from pgkeeper.operations.pitr import pitr_state
from pgkeeper.operations.pitr_marks import read_marks
from pgkeeper.operations.places import server
from pgkeeper.pgbackrest.configuration import configured_paths
from pgkeeper.postgres.archiver import history_file
from pgkeeper.postgres.data_directory import timeline_of_files
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_SEEN_AGAIN = timedelta(minutes=10)
"""So old what was seen may get before it is written down again, where nothing has changed."""
_IN_USE = ("checking", "archiving", "starting", "done")
"""From this step of a replacement on production's server may have run on the timeline it noted."""


class _Seen(BaseModel):
    """Where production was when it could be asked, and all timelines that it was ever seen on, or that its histories named."""

    model_config = ConfigDict(frozen=True)

    system_identifier: str
    timeline: int
    history: str
    known: tuple[int, ...]
    at: datetime


def production_lineage(settings: Settings, system_identifier: str, histories: Mapping[int, str]) -> Lineage | None:
    """Return where the cluster of a repository is, as its server says, else its files, or else as it was seen last.

    `histories` are the repository's, for a timeline whose own history file production has lost. None where nobody knows: it was never seen,
    was replaced since, or nobody has the history of its timeline.
    """
    seen = _seen(settings, system_identifier)
    known = _recorded(settings, system_identifier) | set(seen.known if seen else ())
    found = _now(settings, system_identifier)
    if found is not None:
        timeline, data = found
        remembered = seen.history if seen and seen.timeline == timeline else None
        history = _history(timeline, data, remembered, histories.get(timeline))
        if history is None:
            return None
        lineage = _lineage(timeline, history, known)
        ever = tuple(sorted(lineage.known))
        now = _Seen(system_identifier=system_identifier, timeline=timeline, history=history, known=ever, at=datetime.now(UTC))
        _remember(settings, seen, now)
        return lineage
    if seen is None or any(one.changed_at > seen.at for one in _replaced(settings)):
        return None
    return replace(_lineage(seen.timeline, seen.history, known), seen_at=seen.at)


def current_timeline(settings: Settings, system_identifier: str) -> int | None:
    """Return the timeline that production is on, as its server says, else its files; None where neither is the repository's cluster."""
    found = _now(settings, system_identifier)
    return found[0] if found else None


def _now(settings: Settings, system_identifier: str) -> tuple[int, Path] | None:
    """Return production's timeline and data directory, as its server says, else its files."""
    return _of_server(settings, system_identifier) or _of_files(settings, system_identifier)


def _lineage(timeline: int, history: str, known: set[int]) -> Lineage:
    parents = {parent for parent, _ in named_in(timeline, history)}
    return Lineage(timeline, way_to(timeline, history), frozenset({timeline} | parents | known))


def _replaced(settings: Settings) -> list[ClusterReplacement]:
    return [known for known in cluster_replacements(settings) if known.timeline and known.step in _IN_USE]


def _seen(settings: Settings, system_identifier: str) -> _Seen | None:
    try:
        seen = _Seen.model_validate_json(_record(settings).read_bytes())
        named_in(seen.timeline, seen.history)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("where production was seen last cannot be read", error=type(error).__name__)
        return None
    return seen if seen.system_identifier == system_identifier else None


def _remember(settings: Settings, before: _Seen | None, now: _Seen) -> None:
    if before is not None and before.model_copy(update={"at": now.at}) == now and now.at - before.at < _SEEN_AGAIN:
        return
    try:
        replace_file(_record(settings), now.model_dump_json().encode())
    except OSError as error:
        log.warning("where production is could not be written down", error=error.strerror)


def _record(settings: Settings) -> Path:
    return pitr_state(settings) / "production.json"


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


def _history(timeline: int, data: Path, remembered: str | None, archived: str | None) -> str | None:
    """Return production's own history, or else what was seen or archived of it; None where none of them can be used."""
    if timeline == 1:
        return ""
    try:
        own = (data / "pg_wal" / history_name(timeline)).read_bytes().decode("utf-8", "replace")
    except OSError:
        own = None
    for text in (own, remembered, archived):
        try:
            if text is not None and named_in(timeline, text):
                return text
        except ValueError as error:
            log.warning("a history of production's timeline cannot be used", timeline=timeline, error=str(error))
    return None


def _recorded(settings: Settings, system_identifier: str) -> set[int]:
    """Return the timelines that pgkeeper put production on, or found it on as it made a mark: what was undone is in no history."""
    replaced = {known.timeline for known in _replaced(settings) if known.system_identifier == system_identifier}
    try:
        return replaced | {mark.timeline for mark in read_marks(settings).marks}
    except OperationFailed:
        # Whoever needs the marks says what is wrong with them.
        return replaced
