"""Making the catalog again."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.errors import CatalogDamaged, CatalogForbidden, CatalogNewer
from pgkeeper.catalog.health import Health, look
from pgkeeper.catalog.index import Entry, replace_index
from pgkeeper.catalog.sizes import add_size

Size = tuple[str, str, datetime, int]
"""Cluster, database, when, and bytes."""


def make_room(catalog: Catalog) -> str | None:
    """Move a catalog that can't be used aside, and return where it went; None when it can be used.

    Raises CatalogUnusable when a new one would fare no better: locked, no space, a server that does not answer.
    """
    try:
        catalog.run(lambda _connection: None, writing=True)
        catalog.place.check()
    except CatalogDamaged as error:
        catalog.begin_anew("damaged", error.inode)
    except CatalogNewer:
        catalog.begin_anew("newer")
    except CatalogForbidden:
        catalog.begin_anew("forbidden")
    return catalog.moved_to


def rebuild(catalog: Catalog, index: Mapping[str, Entry], sizes: Iterable[Size]) -> Health:
    """Replace the index and add the sizes in one transaction; jobs stay. Returns what is known then. Raises CatalogUnusable."""

    def work(connection: Connection) -> None:
        replace_index(connection, catalog.host, index)
        for cluster, database, at, size in sizes:
            add_size(connection, catalog.host, cluster, database, at, size)

    catalog.run(work, writing=True)
    return look(catalog)
