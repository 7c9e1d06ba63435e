"""Whether a server has room for the locks that dumping a database takes, all at once.

pg_dump locks every table, view and sequence until it ends. The server's room for locks is shared by all its sessions, and set at its start
(documentation of max_locks_per_transaction). It is sure to have what the settings say; how many more its spare memory holds, some half of
that and a few hundred, only a try tells.
"""

import psycopg

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.server import Session

OF_CATALOGS = 200
"""Locks that a dump takes on catalogs and their indexes, besides those on what it dumps."""
_FEW_HUNDRED = 1000
LOCKS_HINT = "run `ALTER SYSTEM SET max_locks_per_transaction = …` with twice what it is, then restart PostgreSQL"
# As NLOCKENTS in lock.c and MaxBackends in postinit.c have it, rounded down. PostgreSQL 18 has another name for autovacuum's places.
_ROOM = """
SELECT current_setting('max_locks_per_transaction')::bigint AS each,
       (SELECT sum(setting::bigint) FROM pg_settings WHERE name IN ('max_connections', 'max_worker_processes', 'max_wal_senders',
        'max_prepared_transactions', CASE WHEN current_setting('server_version_num')::int < 180000 THEN 'autovacuum_max_workers'
        ELSE 'autovacuum_worker_slots' END))::bigint AS sessions,
       (SELECT count(*) FROM (SELECT DISTINCT locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid, objsubid
        FROM pg_locks WHERE NOT fastpath) held) AS used
"""
_LOCKED = """
SELECT count(*) AS relations FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
_TRIED = "SELECT count(pg_try_advisory_xact_lock_shared(%s, n)) FROM generate_series(1, %s) n"
_OURS = 0x7067_6B66


def require_lock_room(session: Session, relations: int) -> None:
    """Check that the superuser's session's server can lock so many tables, views and sequences at once.

    Where the settings alone do not tell, that many locks are taken for a moment. Raises OperationFailed saying what to set.
    """
    needed = relations + OF_CATALOGS
    each, sessions, used = _room(session)
    sure = each * sessions - used
    if needed <= sure or (needed <= 2 * sure + _FEW_HUNDRED and _can_take(session, needed)):
        return
    raise OperationFailed(
        "this server has room for too few locks",
        f"comparing the restored database takes {needed} at once, and there is room for {sure}",
        f"run `ALTER SYSTEM SET max_locks_per_transaction = {_enough(needed + used, sessions)}`, then restart PostgreSQL",
    )


def lock_warnings(session: Session) -> list[str]:
    """Return a warning where the session's database takes more locks to dump than its server is sure to have."""
    row = session.execute(_LOCKED).fetchone()
    assert row is not None
    needed = row["relations"] + OF_CATALOGS
    each, sessions, _used = _room(session)
    if needed <= each * sessions:
        return []
    advice = f"set max_locks_per_transaction to {_enough(needed, sessions)} here and wherever it may be restored"
    return [f"a dump of it takes {needed} locks at once, and the server is only sure to have {each * sessions}: {advice}"]


def _room(session: Session) -> tuple[int, int, int]:
    row = session.execute(_ROOM).fetchone()
    assert row is not None
    return row["each"], row["sessions"], row["used"]


def _can_take(session: Session, locks: int) -> bool:
    try:
        with session.transaction():
            session.execute(_TRIED, (_OURS, locks))
    except psycopg.errors.OutOfMemory:
        return False
    return True


def _enough(locks: int, sessions: int) -> int:
    """Return a setting, a multiple of 64 as the default is, with a quarter of room to spare."""
    return -(-locks * 5 // (4 * sessions * 64)) * 64
