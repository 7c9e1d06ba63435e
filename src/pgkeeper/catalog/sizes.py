"""How large databases were, at backups and whenever `stats` looked."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select

from pgkeeper.catalog.tables import database_sizes

KEPT = timedelta(days=400)
"""How long sizes are remembered: a year, and time to look back at it."""


def add_size(
    connection: Connection, host: str, cluster: str, database: str, at: datetime, size: int, *, apart: timedelta = timedelta()
) -> bool:
    """Remember a size, unless one is known from the time `apart` before it; forget what is too old. Tells whether it was added."""
    where = _of(host, cluster, database)
    connection.execute(delete(database_sizes).where(database_sizes.c.host == host, database_sizes.c.at < at - KEPT))
    near = where & (database_sizes.c.at >= at - apart) & (database_sizes.c.at <= at)
    if connection.execute(select(database_sizes.c.at).where(near)).first() is not None:
        return False
    connection.execute(insert(database_sizes).values(host=host, cluster=cluster, database=database, at=at, bytes=size))
    return True


def read_sizes(connection: Connection, host: str, cluster: str, database: str) -> tuple[tuple[datetime, int], ...]:
    """Return the sizes of a database, oldest first."""
    query = select(database_sizes.c.at, database_sizes.c.bytes).where(_of(host, cluster, database)).order_by(database_sizes.c.at)
    return tuple((row.at, row.bytes) for row in connection.execute(query))


def count_sizes(connection: Connection, host: str) -> int:
    """Return how many sizes of the host's databases are known."""
    return connection.execute(select(func.count()).select_from(database_sizes).where(database_sizes.c.host == host)).scalar_one()


def _of(host: str, cluster: str, database: str) -> ColumnElement[bool]:
    columns = database_sizes.c
    return and_(columns.host == host, columns.cluster == cluster, columns.database == database)
