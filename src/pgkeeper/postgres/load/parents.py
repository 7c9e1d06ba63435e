"""Tables that were tied to somebody else's tables when their owners could: partitions, inheritance children, foreign keys.

Only who owns both may attach a child to its parent. While no data is there yet, a parent is given to the child's owner for the one
statement that needs it: there are no rows to be read, and nobody's code may change objects then (`ddl_guard.py`). Indexes are attached
after the data, when owning the parent would mean reading all its partitions. A superuser attaches them, where they have no expressions
whose code would run. For a foreign key its owner is lent REFERENCES, which serves for nothing but such keys.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from psycopg import sql

from pgkeeper.postgres.load.entries import Entry
from pgkeeper.postgres.load.entry_owners import FOREIGN_KEYS
from pgkeeper.postgres.server import Session

_PART = rb'(?:"(?:[^"]|"")+"|[^\s".;]+)'
_TABLE = re.compile(rb"CREATE (?:UNLOGGED |FOREIGN )?TABLE (" + _PART + rb"\." + _PART + rb") ")
_ATTACHED = re.compile(rb"ALTER INDEX (" + _PART + rb"\." + _PART + rb") ATTACH PARTITION (" + _PART + rb"\." + _PART + rb");")
_TABLES = ("TABLE ", "FOREIGN TABLE ")
_ATTACH = ("TABLE ATTACH ",)
_MAY_REFER = "SELECT has_any_column_privilege(%s, %s::regclass, 'REFERENCES') AS may"
_EXPRESSIONS = """
SELECT FROM pg_index WHERE indexrelid IN (%s::regclass, %s::regclass) AND (indexprs IS NOT NULL OR indpred IS NOT NULL)
"""


class Parents:
    """Knows the tables among an archive's `entries`, and lends what their children's owners need through `admin`, a superuser's session.

    May be used from several threads, for entries that share no table.
    """

    def __init__(self, admin: Session, entries: Iterable[Entry]) -> None:
        self._admin = admin
        self._tables: Mapping[int, Entry] = {
            entry.number: entry for entry in entries if entry.is_one_of(_TABLES) and not entry.is_one_of(_ATTACH) and entry.bare
        }

    @contextmanager
    def lent(self, entry: Entry, owner: str) -> Iterator[None]:
        """Let `owner` have, until the block ends, what making `entry` takes of tables of others. Raises psycopg.Error."""
        parents = self._of_others(entry, owner) if self._needs_parents(entry) else []
        referred = self._not_allowed(entry, owner) if entry.is_one_of(FOREIGN_KEYS) else []
        for parent in parents:
            self._give(parent, owner)
        for table in referred:
            self._admin.execute(b"GRANT REFERENCES ON " + table + b" TO " + self._quoted(owner))
        yield
        for parent in parents:
            self._give(parent, parent.owner)
        for table in referred:
            self._admin.execute(b"REVOKE REFERENCES ON " + table + b" FROM " + self._quoted(owner))

    def is_for_superuser(self, entry: Entry, owners: Mapping[int, str]) -> bool:
        """Tell whether `entry` attaches indexes of tables of different owners, and runs no code by that.

        `owners` are those of all entries.
        """
        if not entry.is_one_of(("INDEX ATTACH ",)) or len({owners[number] for number in entry.after if number in owners}) < 2:
            return False
        found = _ATTACHED.fullmatch(entry.bare[0])
        if found is None:
            return False
        names = [name.decode("utf-8", "surrogateescape") for name in found.groups()]
        return self._admin.execute(_EXPRESSIONS, names).fetchone() is None

    def _needs_parents(self, entry: Entry) -> bool:
        return entry.is_one_of(_ATTACH) or (entry.number in self._tables and b"\nINHERITS (" in entry.bare[0])

    def _of_others(self, entry: Entry, owner: str) -> list[Entry]:
        return [self._tables[number] for number in sorted(entry.after & self._tables.keys()) if self._tables[number].owner != owner]

    def _not_allowed(self, entry: Entry, owner: str) -> list[bytes]:
        """Return the names of others' tables to which `owner` may refer in no way."""
        names = [found[1] for table in self._of_others(entry, owner) if (found := _TABLE.match(table.bare[0]))]
        return [name for name in names if not self._may_refer(name, owner)]

    def _may_refer(self, table: bytes, owner: str) -> bool:
        row = self._admin.execute(_MAY_REFER, (owner, table.decode("utf-8", "surrogateescape"))).fetchone()
        return row is not None and bool(row["may"])

    def _give(self, table: Entry, owner: str) -> None:
        found = _TABLE.match(table.bare[0])
        if found is not None:
            self._admin.execute(b"ALTER TABLE " + found[1] + b" OWNER TO " + self._quoted(owner))

    def _quoted(self, role: str) -> bytes:
        return sql.Identifier(role).as_bytes(self._admin)
