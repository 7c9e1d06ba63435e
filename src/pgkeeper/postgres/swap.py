"""Giving one database the name of another, in one transaction, with everybody kept out meanwhile."""

import time

from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.copy_mark import mark_copy, unmark_copy
from pgkeeper.postgres.server import Session

_SESSIONS_SECONDS = 30
_POLL_SECONDS = 0.05
_OBSTACLES = (
    ("prepared transactions", "SELECT gid AS name FROM pg_prepared_xacts WHERE database = %s"),
    ("logical replication slots", "SELECT slot_name AS name FROM pg_replication_slots WHERE database = %s"),
    (
        "subscriptions",
        "SELECT s.subname AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %s",
    ),
)


def obstacles(session: Session, database: str) -> list[str]:
    """Return what ties a database to its present place, so that another could not take over: nothing when it may be replaced.

    Prepared transactions keep its files in use; slots and subscriptions would go on feeding from the one that was put aside.
    """
    found = []
    for what, query in _OBSTACLES:
        names = [row["name"] for row in session.execute(query, (database,))]
        if names:
            found.append(f"{what}: {', '.join(names)}")
    return found


def close_database(session: Session, oid: int) -> None:
    """Let nobody in any more, not even superusers, and end all sessions. Raises OperationFailed when one does not end."""
    name = name_of(session, oid)
    session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    deadline = time.monotonic() + _SESSIONS_SECONDS
    while session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = %s", (oid,)).fetchall():
        if time.monotonic() > deadline:
            raise OperationFailed(f"sessions in database {name} do not end", f"after {_SESSIONS_SECONDS} s", "see pg_stat_activity")
        time.sleep(_POLL_SECONDS)


def open_again(session: Session, oid: int) -> None:
    """Let sessions in."""
    session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(name_of(session, oid))))


def keep_for_superusers(session: Session, oid: int) -> None:
    """Open a database that was put aside to superusers, and to nobody else: a template could be copied by whoever may create databases."""
    name = sql.Identifier(name_of(session, oid))
    session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT 0 IS_TEMPLATE false").format(name))


def swap(session: Session, old_oid: int, aside: str, new_oid: int) -> None:
    """Give the new database the old one's name and open it; the old one is called `aside` and stays closed.

    The one put aside is marked as a copy, the other no longer. All at once, or not at all.
    """
    name, waiting = name_of(session, old_oid), name_of(session, new_oid)
    with session.transaction():
        session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(aside)))
        session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(waiting), sql.Identifier(name)))
        mark_copy(session, aside)
        unmark_copy(session, name)
        session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


def name_of(session: Session, oid: int) -> str:
    """Return what the database is called now. Raises OperationFailed when it is gone."""
    row = session.execute("SELECT datname AS name FROM pg_database WHERE oid = %s", (oid,)).fetchone()
    if row is None:
        raise OperationFailed(f"the database with OID {oid} is gone", "somebody dropped it")
    return str(row["name"])
