"""Where a catalog is: a file of SQLite's, or a database on a PostgreSQL server."""

from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pgkeeper.catalog.errors import CatalogUnusable

if TYPE_CHECKING:
    from sqlalchemy import Connection

FILE = "catalog.db"
PATIENCE = timedelta(seconds=5)
"""How long a use waits for somebody else who holds the catalog, or for a server that does not answer."""


class Place(Protocol):
    """A place that connections lead to."""

    @property
    def name(self) -> str:
        """Return the place for people, without a password."""

    def connection(self, *, writing: bool) -> "AbstractContextManager[Connection]":
        """Yield a connection with a transaction begun, which whoever uses it commits.

        Raises CatalogUnusable or CatalogDamaged, for whatever the database says in the block as well.
        """

    def prepare(self) -> None:
        """Make the place ready for tables. Raises CatalogUnusable."""

    def check(self) -> None:
        """Read all of it. Raises CatalogUnusable or CatalogDamaged."""

    def move_aside(self, inode: int | None, reason: str) -> Path | None:
        """Make room for a new catalog, and return where the old one went; of several such for one reason the newest is kept.

        None when there is none, or not the one with this `inode`: then somebody else was faster. Raises OSError, or CatalogUnusable
        where a catalog can't be moved.
        """


def place(url: str, state_dir: Path) -> Place:
    """Return the place that a setting means; an empty one means the file in `state_dir`. Raises CatalogUnusable."""
    from sqlalchemy import make_url

    from pgkeeper.catalog.postgresql import PostgresqlPlace
    from pgkeeper.catalog.sqlite import SqlitePlace

    if not url:
        return SqlitePlace(state_dir / FILE)
    try:
        parsed = make_url(url)
    except Exception:  # noqa: BLE001 - of whatever kind, it may name parts of a password
        raise CatalogUnusable("of BACKUP_CATALOG_URL", "it is no URL", "special characters in a password are percent-encoded") from None
    return SqlitePlace(Path(parsed.database or FILE)) if parsed.drivername == "sqlite" else PostgresqlPlace(parsed)
