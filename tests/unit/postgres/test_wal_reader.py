"""What pg_waldump prints of commits and restore points is read as it is meant."""

from datetime import UTC, datetime

import pytest

from pgkeeper.model.coverage import Commit
from pgkeeper.model.restore_point import RestorePoint
from pgkeeper.postgres.wal_reader import MinimalLevel, _parse

LEVELS = "max_connections=100 max_worker_processes=8 max_wal_senders=0 max_prepared_xacts=0 max_locks_per_xact=64"
AT = datetime(2026, 11, 26, 4, 12, 50, 123456, UTC)
HEAD = "len (rec/tot):     34/    34, tx:        731, lsn: 16/0155A5C0, prev 16/0155A588, desc:"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"rmgr: Transaction {HEAD} COMMIT 2026-11-26 04:12:50.123456 UTC", Commit(at=AT, lsn="16/0155A5C0", xid=731)),
        (
            f"rmgr: Transaction {HEAD} COMMIT 2026-11-26 04:12:50.123456 UTC; inval msgs: catcache 80",
            Commit(at=AT, lsn="16/0155A5C0", xid=731),
        ),
        (f"rmgr: Transaction {HEAD} COMMIT_PREPARED 729: 2026-11-26 04:12:50.123456 UTC", Commit(at=AT, lsn="16/0155A5C0", xid=729)),
        (
            f"rmgr: XLOG        {HEAD} RESTORE_POINT before import, desc: COMMIT",
            RestorePoint(name="before import, desc: COMMIT", lsn="16/0155A5C0"),
        ),
        (f"rmgr: XLOG        {HEAD} PARAMETER_CHANGE {LEVELS} wal_level=minimal wal_log_hints=off", MinimalLevel("16/0155A5C0")),
        (f"rmgr: XLOG        {HEAD} PARAMETER_CHANGE {LEVELS} wal_level=replica wal_log_hints=off", None),
        (f"rmgr: XLOG        {HEAD} RESTORE_POINT wal_level=minimal", RestorePoint(name="wal_level=minimal", lsn="16/0155A5C0")),
        (f"rmgr: Transaction {HEAD} ABORT 2026-11-26 04:12:50.123456 UTC", None),
        (f"rmgr: Transaction {HEAD} PREPARE gid two: 2026-11-26 04:12:50.123456 UTC", None),
        (f"rmgr: XLOG        {HEAD} SWITCH ", None),
        ("pg_waldump: error: error in WAL record at 0/1: invalid record length", None),
        ("", None),
    ],
)
def test_a_line_is_a_commit_a_restore_point_or_nothing(line: str, expected: Commit | RestorePoint | MinimalLevel | None) -> None:
    assert _parse(line) == expected
