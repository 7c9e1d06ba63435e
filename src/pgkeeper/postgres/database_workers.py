"""Processes of extensions that work in one database, such as the scheduler of pg_cron.

Whoever closes a database ends them as well. PostgreSQL starts one again only where it ended by an error or asked to be (documentation,
"Background Worker Processes"); pg_cron's ends as if its work were done, and comes back with the next start of the server.
"""

import time

from pgkeeper.postgres.server import Session

_BACK_SECONDS = 5
_POLL_SECONDS = 0.1
# All that PostgreSQL itself has in a database.
_WORKERS = """
SELECT DISTINCT backend_type AS name FROM pg_stat_activity
WHERE datid = %s AND backend_type !~ '^(client backend|autovacuum worker|walsender|parallel worker|logical replication .*|slotsync worker)$'
ORDER BY 1
"""


def database_workers(session: Session, oid: int) -> list[str]:
    """Return which kinds of extensions' processes are at work in a database, as pg_stat_activity calls them."""
    return [row["name"] for row in session.execute(_WORKERS, (oid,))]


def lost_workers(session: Session, oid: int, before: list[str]) -> list[str]:
    """Return which of those `before` do not come back to the database; waits a few seconds for them."""
    deadline = time.monotonic() + _BACK_SECONDS
    while (lost := sorted(set(before) - set(database_workers(session, oid)))) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return lost
