"""Every page of a cluster that was recovered is looked into, before it becomes production or counts as proof."""

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.facts import list_databases
from pgkeeper.postgres.page_check import check_pages
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster

_MOST_NAMED = 5


def check_all_pages(side: SideCluster) -> tuple[str, ...]:
    """Look into every page of all databases of a side cluster; return those that could not be looked into. Raises IntegrityError."""
    unchecked = []
    with side.server.connect_maintenance() as session, told("looking at the recovered cluster"):
        names = list_databases(session)
    for name in names:
        damages = check_pages(side.server, name)
        if damages is None:
            unchecked.append(name)
        elif damages:
            raise IntegrityError(
                f"database {name} is damaged in what was recovered",
                "; ".join(damages[:_MOST_NAMED]),
                "recover to an earlier moment, or from the other repository; `pgkeeper pitr restore` without --replace lets you look",
            )
    return tuple(unchecked)
