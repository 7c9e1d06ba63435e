"""How large databases were: remembered in the catalog, longer than backups are kept."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pgkeeper.operations.places import catalog
from pgkeeper.settings import Settings

_BETWEEN_LOOKS = timedelta(hours=1)


def remember_backup(settings: Settings, cluster: str, database: str, at: datetime, size: int) -> None:
    """Remember how large a database was (`size` bytes) when a backup of it began; without a catalog its manifest alone does."""
    from pgkeeper.catalog.sizes import add_size

    known = catalog(settings)
    # As in the backup's id, so that a rebuild finds the same.
    begun = at.replace(microsecond=0)
    known.tried(lambda connection: add_size(connection, known.host, cluster, database, begun, size), None, writing=True)


def remember_look(settings: Settings, cluster: str, sizes: Iterable[tuple[str, int]]) -> None:
    """Remember how large databases are now, each at most once an hour."""
    from pgkeeper.catalog.sizes import add_size

    known = catalog(settings)
    now = datetime.now(UTC)
    for database, size in sizes:
        known.tried(
            lambda connection, database=database, size=size: add_size(  # type: ignore[misc]
                connection, known.host, cluster, database, now, size, apart=_BETWEEN_LOOKS
            ),
            None,
            writing=True,
        )


def size_history(settings: Settings, cluster: str, database: str) -> tuple[tuple[datetime, int], ...]:
    """Return the sizes that the catalog remembers, oldest first; none without a catalog."""
    from pgkeeper.catalog.sizes import read_sizes

    known = catalog(settings)
    return known.tried(lambda connection: read_sizes(connection, known.host, cluster, database), ())
