"""What a running server says of archiving its log, and ending a segment so that it is archived soon."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgkeeper.model.errors import RefusedError
from pgkeeper.model.timelines import history_name
from pgkeeper.model.wal_forecast import wal_rate
from pgkeeper.postgres.server import Session

_STATE = """
SELECT pg_is_in_recovery() AS standby, current_setting('archive_mode') AS mode, current_setting('archive_command') AS command,
       coalesce(current_setting('archive_library', true), '') AS library, current_setting('data_checksums') = 'on' AS data_checksums,
       pg_size_bytes(current_setting('wal_segment_size')) AS segment_bytes, current_setting('data_directory') AS data_directory,
       current_setting('server_version_num')::int / 10000 AS major,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       a.last_archived_wal, a.last_archived_time AS last_archived_at, a.last_failed_wal, a.last_failed_time AS last_failed_at,
       coalesce(a.last_failed_time > a.last_archived_time, a.last_failed_time IS NOT NULL) AS failing,
       (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS waiting,
       (SELECT min(modification) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS waiting_since,
       (SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir()) AS wal_bytes, now() AS asked_at
FROM pg_stat_archiver a
"""
_RECENT_SEGMENTS = """
SELECT count(*) AS segments, extract(epoch FROM now() - min(modification))::float AS seconds
FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$' AND modification >= now() - interval '1 hour' AND name <= pg_walfile_name(pg_current_wal_lsn())
"""
# pg_control names a new timeline only from its first checkpoint on.
_TIMELINE = """
SELECT current_setting('data_directory') AS data_directory,
       CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline
"""
# A position is where a record ends: the byte before it is in the record's segment. Asked for a position on the border of two, PostgreSQL
# names the first before version 17, the second since (release notes of 17).
_RESTORE_POINT = """
SELECT lsn::text, pg_walfile_name(lsn - 1) AS segment, clock_timestamp() AS at FROM pg_create_restore_point(%s) AS lsn
"""
_SWITCH = "SELECT pg_walfile_name(pg_switch_wal() - 1) AS segment"
_CLUSTER_BYTES = "SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint AS bytes FROM pg_database"


@dataclass(frozen=True)
class ArchiverState:
    """Archiving, as the server sees it. `waiting` segments are not archived yet, the oldest of them since `waiting_since`."""

    standby: bool
    mode: str
    command: str
    library: str
    data_checksums: bool
    segment_bytes: int
    data_directory: str
    major: int
    system_identifier: str
    last_archived_wal: str | None
    last_archived_at: datetime | None
    last_failed_wal: str | None
    last_failed_at: datetime | None
    failing: bool
    waiting: int
    waiting_since: datetime | None
    wal_bytes: int
    asked_at: datetime


def archiver_state(session: Session) -> ArchiverState:
    """Return how archiving stands."""
    row = session.execute(_STATE).fetchone()
    assert row is not None
    return ArchiverState(**row)


def is_waiting(session: Session, segment: str) -> bool:
    """Tell whether a segment that was ended is not archived yet."""
    row = session.execute(
        "SELECT EXISTS (SELECT FROM pg_ls_archive_statusdir() WHERE name = %s) AS waiting", (f"{segment}.ready",)
    ).fetchone()
    return bool(row and row["waiting"])


def wal_bytes_per_second(session: Session, segment_bytes: int) -> float:
    """Return how fast the log grew within the last hour, from the segments that were written."""
    row = session.execute(_RECENT_SEGMENTS).fetchone()
    assert row is not None
    return wal_rate(row["segments"], row["seconds"] or 0.0, segment_bytes)


def cluster_bytes(session: Session) -> int:
    """Return the size of all databases."""
    row = session.execute(_CLUSTER_BYTES).fetchone()
    assert row is not None
    return int(row["bytes"])


def history_file(session: Session) -> Path | None:
    """Return where the history of the timeline lies that the server writes, if it has it still.

    None on timeline 1, which has no history, and on a standby, which writes none.
    """
    row = session.execute(_TIMELINE).fetchone()
    assert row is not None
    timeline = int(row["timeline"] or "1", 16)
    return Path(row["data_directory"]) / "pg_wal" / history_name(timeline) if timeline > 1 else None


@dataclass(frozen=True)
class Marked:
    """A restore point that was just written: where its record ends, in which segment, and when by the server's clock."""

    lsn: str
    segment: str
    at: datetime


def create_restore_point(session: Session, name: str) -> Marked:
    """Write a restore point. Raises RefusedError on a standby, which can't."""
    _require_primary(session, "a mark can only be made on the primary")
    row = session.execute(_RESTORE_POINT, (name,)).fetchone()
    assert row is not None
    return Marked(**row)


def end_segment(session: Session, why: str) -> str:
    """End the current segment and return its name: with everything that was committed before, it can be archived now.

    A record is written first, since a segment without any is not ended; `why` is its name. Raises RefusedError on a standby.
    """
    _require_primary(session, "only the primary ends segments")
    session.execute("SELECT pg_create_restore_point(%s)", (why,))
    row = session.execute(_SWITCH).fetchone()
    assert row is not None
    return str(row["segment"])


def _require_primary(session: Session, what: str) -> None:
    row = session.execute("SELECT pg_is_in_recovery() AS standby").fetchone()
    if row is None or row["standby"]:
        raise RefusedError(what, "this server is a standby", "run it on the primary's host")
