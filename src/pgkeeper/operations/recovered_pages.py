"""Every page of a cluster that was recovered is looked into, before it becomes production or counts as proof; and every table is read."""

from typing import NamedTuple

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.facts import list_databases
from pgkeeper.postgres.page_check import check_pages
from pgkeeper.postgres.row_probe import probe_rows
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster

_MOST_NAMED = 5


class PagesSeen(NamedTuple):
    """What was looked into: so many tables were asked for a first row; the pages of databases in `unchecked` could not be looked into."""

    unchecked: tuple[str, ...] = ()
    tables_read: int = 0


def check_all_pages(side: SideCluster) -> PagesSeen:
    """Look into every page of all databases of a side cluster, and read a first row of every table. Raises IntegrityError for damage."""
    unchecked, tables_read = [], 0
    with side.server.connect_maintenance() as session, told("looking at the recovered cluster"):
        names = list_databases(session)
    for name in names:
        damages = check_pages(side.server, name)
        if damages is None:
            unchecked.append(name)
        rows = probe_rows(side.server, name)
        tables_read += rows.read
        if damages := damages or rows.unreadable:
            raise IntegrityError(
                f"database {name} is damaged in what was recovered",
                "; ".join(damages[:_MOST_NAMED]),
                "recover to an earlier moment, or from the other repository; `pgkeeper pitr restore` without --replace lets you look",
            )
    return PagesSeen(tuple(unchecked), tables_read)
