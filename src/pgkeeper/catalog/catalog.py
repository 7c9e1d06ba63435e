"""Opening the catalog, and what happens when that can't be done.

It is opened at each use and closed again, so a catalog that is removed, replaced or repaired meanwhile does no harm. Every use goes through
`Catalog.run`: it makes or migrates the tables where they are not current, begins anew where the file is damaged, and turns whatever
else goes wrong into `CatalogUnusable`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pgkeeper.catalog.errors import CatalogDamaged, CatalogUnusable
from pgkeeper.catalog.place import PATIENCE, Place, place
from pgkeeper.host.identity import host_identity
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import PgkeeperError

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class Catalog:
    """One catalog as one process uses it.

    `tell` is called with a line for people when the catalog can't be used, once for a cause; `problem` says so as long as it holds.
    `moved_to` is where one that could not be used was moved.
    """

    def __init__(self, state_dir: Path, url: str) -> None:
        """`url` is one of SQLAlchemy's; an empty one means the file in `state_dir`."""
        self.state_dir = state_dir
        self.problem = ""
        self.moved_to: str | None = None
        self.tell: Callable[[str], None] = lambda _text: None
        self._url = url
        self._told: set[str] = set()

    @cached_property
    def host(self) -> str:
        """The identity of this host, under which it writes."""
        return host_identity(self.state_dir)

    @cached_property
    def place(self) -> Place:
        """Where the catalog is."""
        return place(self._url, self.state_dir)

    def run(self, work: "Callable[[Connection], T]", *, writing: bool = False) -> T:
        """Do `work` in one transaction and return what it returns; `writing` must be said beforehand.

        A damaged file is moved aside, a new catalog begun, and `work` done there. Raises CatalogUnusable for everything else.
        """
        try:
            try:
                return self._once(work, writing=writing)
            except CatalogDamaged as damage:
                if self.begin_anew("damaged", damage.inode):
                    self._say(f"the catalog was damaged, and is {self.moved_to} now: `pgkeeper catalog rebuild` fills the new one")
                return self._once(work, writing=writing)
        except CatalogUnusable:
            raise
        except PgkeeperError as error:
            raise CatalogUnusable(self.place.name, f"{error.what}: {error.why}", error.hint) from error
        except Exception as error:  # whatever it is, an index must not cost the work
            log.error("unforeseen error in the catalog", exc_info=error)
            raise CatalogUnusable(self.place.name, f"an unforeseen {type(error).__name__}", "the log holds the details") from error

    def tried(self, work: "Callable[[Connection], T]", otherwise: T, *, writing: bool = False) -> T:
        """Do `work` as `run` does, or return `otherwise` and go on without a catalog: nothing but an index is lost.

        Only the first failure may cost time: after it nothing is tried until somebody else's `run` succeeded.
        """
        if self.problem:
            return otherwise
        try:
            return self.run(work, writing=writing)
        except CatalogUnusable as error:
            self.give_up(error)
        return otherwise

    def give_up(self, error: CatalogUnusable) -> None:
        """Remember that the catalog can't be used, and say so once."""
        self.problem = str(error)
        self._say(f"going on without the catalog: {error}")

    def begin_anew(self, reason: str, inode: int | None = None) -> bool:
        """Move a catalog that can't be used aside, as `catalog.db.<reason>-<time>`; False when it is gone already.

        `inode` names the file that is meant. Raises CatalogUnusable when it can't be moved.
        """
        try:
            with self._changing():
                aside = self.place.move_aside(inode, reason)
        except OSError as error:
            raise CatalogUnusable(self.place.name, f"it cannot be moved aside: {error.strerror}") from error
        self.problem = ""
        if aside is not None:
            self.moved_to = str(aside)
        return aside is not None

    def _once(self, work: "Callable[[Connection], T]", *, writing: bool) -> T:
        from pgkeeper.catalog.schema import is_current, migrate

        with self.place.connection(writing=writing) as connection:
            if is_current(connection):
                result = work(connection)
                connection.commit()
                self.problem = ""
                return result
        with self._changing():
            self.place.prepare()
            with self.place.connection(writing=True) as connection:
                migrate(connection, self.place.name)
                connection.commit()
        with self.place.connection(writing=writing) as connection:
            result = work(connection)
            connection.commit()
        self.problem = ""
        return result

    def _changing(self) -> AbstractContextManager[None]:
        return exclusive(self.state_dir, "catalog", "a change of the catalog", PATIENCE)

    def _say(self, text: str) -> None:
        log.warning("catalog", problem=text)
        if text not in self._told:
            self._told.add(text)
            self.tell(text)


@cache
def shared_catalog(state_dir: Path, url: str) -> Catalog:
    """Return the one Catalog of this process for these settings: what has failed once is not tried, nor told, again."""
    return Catalog(state_dir, url)
