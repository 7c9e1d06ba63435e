"""Every page of a cluster that was recovered is looked into, before it becomes production or counts as proof; and every table is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pgkeeper.model.errors import IntegrityError, PgkeeperError
from pgkeeper.postgres.facts import list_databases
from pgkeeper.postgres.page_check import check_pages
from pgkeeper.postgres.row_probe import probe_rows
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster

_MOST_NAMED = 5


class PagesSeen(NamedTuple):
    """What was looked into: so many tables were asked for a first row; the pages of databases in `unchecked` could not be looked into.

    `warnings` say why, where that is not just that amcheck is not installed.
    """

    unchecked: tuple[str, ...] = ()
    tables_read: int = 0
    warnings: tuple[str, ...] = ()


def check_all_pages(side: SideCluster, *, only_copy: bool = False) -> PagesSeen:
    """Look into every page of all databases of a side cluster, and read a first row of every table.

    Raises IntegrityError for damage, and OperationFailed for a database that can't be looked into. That is a warning where this is the
    `only_copy`: production's files were written over, and nobody is served by leaving them down for it.
    """
    looking = _Looking(side, only_copy=only_copy)
    names: tuple[str, ...] = ()
    with (
        looking.at("the recovered cluster"),
        side.server.connect_maintenance() as session,
        told("looking at the recovered cluster"),
    ):
        names = list_databases(session)
    for name in names:
        looking.look_into(name)
    return PagesSeen(tuple(looking.unchecked), looking.tables_read, tuple(looking.warnings))


class _Looking:
    """What was seen so far."""

    def __init__(self, side: SideCluster, *, only_copy: bool) -> None:
        self._server = side.server
        self._only_copy = only_copy
        self.unchecked: list[str] = []
        self.tables_read = 0
        self.warnings: list[str] = []

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        """Turn what can't be looked into into a warning, where that is wanted."""
        try:
            yield
        except PgkeeperError as error:
            if not self._only_copy:
                raise
            self.warnings.append(f"{what} could not be looked into completely: {error}")

    def look_into(self, name: str) -> None:
        """Look into one database. Raises IntegrityError for damage."""
        damages: tuple[str, ...] | None = None
        unreadable: tuple[str, ...] = ()
        with self.at(f"database {name}"):
            damages = check_pages(self._server, name)
        if damages is None:
            self.unchecked.append(name)
        with self.at(f"database {name}"):
            rows = probe_rows(self._server, name)
            self.tables_read += rows.read
            unreadable = rows.unreadable
        if damages := damages or unreadable:
            raise IntegrityError(
                f"database {name} is damaged in what was recovered",
                "; ".join(damages[:_MOST_NAMED]),
                "recover to an earlier moment, or from the other repository; `pgkeeper pitr restore` without --replace lets you look",
            )
