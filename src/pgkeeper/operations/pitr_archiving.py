"""Whether the log gets into the repositories, as the running server tells."""

import shlex
from datetime import datetime

from pgkeeper.model.errors import ErrorInfo, PgkeeperError
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.archiver import ArchiverState, archiver_state
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings


class Archiving(Message):
    """How archiving stands; with an `error` the server could not be asked, and the rest is unknown (None).

    `works` is False where `problem` says why nothing is archived. `lag_segments` are not archived yet, the oldest of them for
    `lag_seconds`. `wal_bytes` is what the server's own log takes. `data_checksums`: whether the cluster notices damaged pages.
    """

    works: bool | None = None
    problem: str = ""
    mode: str | None = None
    ours: bool | None = None
    lag_seconds: float | None = None
    lag_segments: int | None = None
    last_archived_segment: str | None = None
    last_archived_at: datetime | None = None
    last_failed_segment: str | None = None
    last_failed_at: datetime | None = None
    wal_bytes: int | None = None
    data_checksums: bool | None = None
    system_identifier: str = ""
    error: ErrorInfo | None = None


def look_at_archiving(settings: Settings) -> Archiving:
    """Ask the server. That it can't be asked is in the answer."""
    try:
        with server(settings).connect_maintenance() as session, told("asking the server about archiving"):
            require_superuser(session)
            return archiving_of(archiver_state(session), settings)
    except PgkeeperError as error:
        return Archiving(error=error.info)


def archiving_of(state: ArchiverState, settings: Settings) -> Archiving:
    """Return how archiving stands from what the server says."""
    problem = _problem(state, settings)
    lag = (state.asked_at - state.waiting_since).total_seconds() if state.waiting_since else 0.0
    return Archiving(
        works=not problem,
        problem=problem,
        mode=state.mode,
        ours=_is_ours(state, settings),
        lag_seconds=round(max(lag, 0.0), 1),
        lag_segments=state.waiting,
        last_archived_segment=state.last_archived_wal,
        last_archived_at=state.last_archived_at,
        last_failed_segment=state.last_failed_wal,
        last_failed_at=state.last_failed_at,
        wal_bytes=state.wal_bytes,
        data_checksums=state.data_checksums,
        system_identifier=state.system_identifier,
    )


def _problem(state: ArchiverState, settings: Settings) -> str:
    if state.mode == "off":
        return "archive_mode is off: nothing is archived"
    if state.standby and state.mode != "always":
        return "this server is a standby: its primary archives"
    if state.library:
        return f"archive_library is {state.library}: the log goes there, and not to pgBackRest"
    if not state.command:
        return "archive_command is empty: nothing is archived, and the log grows until the disk is full"
    if not _is_ours(state, settings):
        return f"archive_command is not pgkeeper's: {state.command}"
    if state.failing:
        return f"archiving fails: segment {state.last_failed_wal} could not be archived; the server's and pgBackRest's logs say why"
    return ""


def _is_ours(state: ArchiverState, settings: Settings) -> bool:
    """Tell whether the command in force pushes to the repositories that settings name, whatever the order of its options."""
    try:
        words = shlex.split(state.command)
    except ValueError:
        return False
    program = pgbackrest(settings)
    needed = {f"--config={program.config_file}", f"--config-include-path={program.attached}", f"--stanza={program.stanza}"}
    return (
        not state.library
        and words[:1] != []
        and words[0].rpartition("/")[2] == "pgbackrest"
        and needed | {"archive-push", "%p"} <= set(words)
    )
