"""Loading tables from a dump's COPY data, each through a session of its owner.

Each table is emptied and loaded in one transaction: then PostgreSQL appends rows in the order they come instead of filling gaps, which
keeps the ordered digest; it can skip WAL where wal_level is minimal, and it can freeze the rows at once, so that whoever reads the table
first need not write it again (documentation of COPY and "Populating a Database").
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
from psycopg import Copy, sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.dump_reader import CopyStart, DumpReader
from pgkeeper.postgres.load.owner_sessions import OwnerSessions
from pgkeeper.postgres.server import Session, told

# search_path is the owner's here, and may lead to other people's operators before those of PostgreSQL.
_ORDINARY = b"""
SELECT FROM pg_catalog.pg_class c WHERE c.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char")
AND c.oid OPERATOR(pg_catalog.=) """


@dataclass(frozen=True)
class PutOff:
    """A table that could not be loaded yet: in whose session, and what the server said."""

    owner: str | None
    error: OperationFailed


class TableLoad:
    """Loads one table after the other: `begin`, its `data` in pieces, `end`.

    `sessions` are those of this load alone, by owner; `owner_of` says in whose a table is loaded. A table that fails is undone, and noted
    in `put_off` by its number in the dump. As a context manager it leaves no table half-loaded.
    """

    def __init__(self, sessions: OwnerSessions, owner_of: Callable[[str, str], str | None]) -> None:
        self.put_off: dict[int, PutOff] = {}
        self._sessions = sessions
        self._owner_of = owner_of
        self._owner: str | None = None
        self._prepared: dict[Session, tuple[str, bool]] = {}
        self._open = ExitStack()
        self._copy: Copy | None = None
        self._number = 0
        self._label = ""
        self._qualified = b""

    def session(self, owner: str | None, reader: DumpReader) -> Session:
        """Return the session that works for `owner`, reading values as the dump wrote them."""
        session = self._sessions.of(owner)
        wanted = (reader.encoding, reader.standard_strings)
        if self._prepared.get(session) != wanted:
            session.execute("SET xmloption = content")
            read_as_written(session, reader)
            self._prepared[session] = wanted
        return session

    def break_off(self) -> None:
        """Make whatever another thread waits for here fail at once."""
        self._sessions.break_off()

    def begin(self, number: int, table: CopyStart, reader: DumpReader) -> None:
        """Begin table `number` of the dump."""
        self._owner = self._owner_of(table.schema_name, table.table)
        self._session = self.session(self._owner, reader)
        self._number, self._label, self._qualified = number, f"{table.schema_name}.{table.table}", table.qualified
        self._try(lambda: self._begin(table.text.rstrip(b";")))

    def data(self, data: memoryview) -> None:
        """Load a piece of the table that was begun; nothing when it has failed, or none was."""
        if self._copy is not None:
            copy, piece = self._copy, bytes(data)
            self._try(lambda: copy.write(piece))

    def end(self) -> None:
        """Commit the table that was begun."""
        self._copy = None
        self._try(self._open.close)

    def _begin(self, statement: bytes) -> None:
        self._open.enter_context(self._session.transaction())
        if self._may_be_emptied():
            self._session.execute(b"TRUNCATE ONLY " + self._qualified)
            statement += b" WITH (FREEZE)"
        cursor = self._open.enter_context(self._session.cursor())
        self._copy = self._open.enter_context(cursor.copy(statement))

    def _may_be_emptied(self) -> bool:
        """Tell whether the table is an ordinary one: extensions may have filled theirs already, and partitioned ones come in pieces."""
        return self._session.execute(_ORDINARY + _regclass(self._qualified)).fetchone() is not None

    def _try(self, work: Callable[[], object]) -> None:
        """Do a part of a table's load; when it fails, undo the table and put it off."""
        try:
            with told(f"loading table {self._label}"):
                work()
        except OperationFailed as error:
            self._copy = None
            with suppress(psycopg.Error):
                self._open.__exit__(type(error), error, None)
            if self._session.closed:
                raise
            self.put_off.setdefault(self._number, PutOff(self._owner, error))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        """Undo a table that was begun and not ended."""
        self._copy = None
        self._open.__exit__(kind, value, traceback)


def read_as_written(session: Session, reader: DumpReader) -> None:
    """Let a session read statements as the dump writes them; from then on they must be bytes, since Python may not know the encoding."""
    strings = sql.SQL("on" if reader.standard_strings else "off")
    statement = sql.SQL("SET escape_string_warning = off; SET standard_conforming_strings = {}; SET client_encoding = {}")
    session.execute(statement.format(strings, reader.encoding))


def _regclass(qualified: bytes) -> bytes:
    """Return SQL that finds a table by its name as the dump writes it, whatever standard_conforming_strings says."""
    return b"E'" + qualified.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'::pg_catalog.regclass"
