"""Whether the catalog is usable, and what it knows."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.tables import database_sizes, jobs, manifests


@dataclass(frozen=True)
class Health:
    """How much a catalog knows of this host. `system_identifier` is that of the PostgreSQL it lives in, None for a file."""

    place: str
    backups: int
    sizes: int
    jobs: int
    system_identifier: str | None


def look(catalog: Catalog) -> Health:
    """Look whether the catalog can be written, and count what it knows of this host. Raises CatalogUnusable."""
    return catalog.run(lambda connection: _look(connection, catalog), writing=True)


def _look(connection: Connection, catalog: Catalog) -> Health:
    backups, sizes, known = (
        connection.execute(select(func.count()).select_from(table).where(table.c.host == catalog.host)).scalar_one()
        for table in (manifests, database_sizes, jobs)
    )
    identifier = None
    if connection.dialect.name == "postgresql":
        identifier = str(connection.execute(text("SELECT system_identifier FROM pg_control_system()")).scalar_one())
    return Health(catalog.place.name, backups, sizes, known, identifier)
