"""Putting a dump's data into a database whose tables exist and are empty.

Each table is emptied and loaded in one transaction: then PostgreSQL appends rows in the order they come instead of filling gaps, which
keeps the ordered digest, and can skip WAL where wal_level is minimal (documentation of COPY and "Populating a Database").
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

import psycopg
from psycopg import Copy, sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.dump_reader import CopyData, CopyEnd, CopyStart, DumpReader, Event
from pgkeeper.postgres.server import Session, told
from pgkeeper.postgres.understanding import is_large_object_data, is_sequence_value

_BATCH_BYTES = 1 << 20
_SCHEMAS = "SELECT nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
_POWERFUL_FUNCTIONS = """
SELECT n.nspname AS schema_name, p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
WHERE p.prosecdef AND p.oid >= 16384 AND (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls)
AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
"""
_TABLES = """
SELECT n.nspname AS schema_name, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND (%(owner)s::text IS NULL OR pg_get_userbyid(c.relowner) = %(owner)s::name)
"""
_OWNER = b"SELECT pg_catalog.pg_get_userbyid(relowner) AS owner FROM pg_catalog.pg_class WHERE oid = "
_ORDINARY = b"""
SELECT FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e') AND c.oid = """
_CREATES_OBJECT = b"SELECT pg_catalog.lo_create("
_ABOUT_OBJECT = re.compile(
    rb"(?:ALTER|COMMENT ON) LARGE OBJECT \d|(?:GRANT|REVOKE) [A-Z, ]+ ON LARGE OBJECT \d|SECURITY LABEL .* ON LARGE OBJECT \d", re.DOTALL
)
_AUTHORIZATION = b"SET SESSION AUTHORIZATION "
_RESET_AUTHORIZATION = b"RESET SESSION AUTHORIZATION;"
_REFRESH = b"REFRESH MATERIALIZED VIEW "


class DataLoad:
    """Takes a dump's events and loads what is data; schema statements are somebody else's business.

    `admin` (a superuser's session in the database) lends the loader what it needs: to read, fill and empty the tables of this one database.
    Nothing that the database's own code could set up on the way (a trigger, say) ever runs as `admin`.

    A table that can't be loaded yet, because a CHECK looks into another one that comes later, is put off: `again` says whether the dump
    has to be taken once more, for these tables alone. `refreshes` collects the statements that fill materialized views, to be run once
    privileges are in place.
    """

    def __init__(self, admin: Session, loader: Session, role: str | None, search_path: Sequence[str]) -> None:
        self.refreshes: list[bytes] = []
        self._admin = admin
        self._loader = loader
        self._role = role
        self._search_path = search_path
        self._prepared = False
        self._open = ExitStack()
        self._copy: Copy | None = None
        self._label = ""
        self._block = 0
        self._wanted: set[int] | None = None
        self._qualified = b""
        self._owner = ""
        self._stuck: set[str] = set()
        self._put_off: dict[int, tuple[str, OperationFailed]] = {}
        self._about_objects: list[bytes] = []
        self._authorization = b""
        self._closed_functions: list[sql.Composed] = []
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._in_objects = False

    def __enter__(self) -> Self:
        """Lend the loader its privileges; without a role the loader is a superuser and needs none."""
        if self._role is not None:
            role = sql.Identifier(self._role)
            for row in self._admin.execute(_SCHEMAS).fetchall():
                self._admin.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(row["name"]), role))
            self._lend("GRANT INSERT, TRUNCATE ON {} TO {}", None)
            self._close_functions()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        """End what is open; when all went well, hand large objects to their owners and take the privileges back.

        Otherwise the database is dropped as a whole.
        """
        self._open.__exit__(kind, value, traceback)
        if kind is None:
            self._flush_objects()
            for statement in self._about_objects:
                self._admin.execute(statement)
            if self._role is not None:
                self._admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(self._role)))
            for function in self._closed_functions:
                self._admin.execute(sql.SQL("GRANT EXECUTE ON ROUTINE {} TO PUBLIC").format(function))

    def _close_functions(self) -> None:
        """Keep code from calling powerful roles' SECURITY DEFINER functions while data is loaded.

        They were made open to everybody, as PostgreSQL makes them; what the backup forbids comes only with the privileges, after the data.
        """
        for row in self._admin.execute(_POWERFUL_FUNCTIONS).fetchall():
            function = sql.SQL("{}({})").format(sql.Identifier(row["schema_name"], row["name"]), sql.SQL(row["arguments"]))
            self._admin.execute(sql.SQL("REVOKE EXECUTE ON ROUTINE {} FROM PUBLIC").format(function))
            self._closed_functions.append(function)

    def _lend(self, statement: str, owner: str | None) -> None:
        """Run a GRANT or REVOKE for the loader over all ordinary tables, or those of one owner."""
        assert self._role is not None
        for row in self._admin.execute(_TABLES, {"owner": owner}).fetchall():
            table = sql.Identifier(row["schema_name"], row["name"])
            self._admin.execute(sql.SQL(statement).format(table, sql.Identifier(self._role)))

    def again(self) -> bool:
        """Begin another pass for tables that were put off, those of one owner at a time; False when there are none.

        Their CHECKs may read what their owner has, and nobody else's: rows of others must not get into their code's hands. Raises
        OperationFailed with the server's complaint when no owner's tables get any further.
        """
        if self._wanted is not None:
            self._stuck = self._stuck | {self._owner} if self._wanted <= set(self._put_off) else set()
            if self._role is not None:
                self._lend("REVOKE SELECT ON {} FROM {}", self._owner)
        if not self._put_off:
            return False
        owners = sorted({owner for owner, _error in self._put_off.values()} - self._stuck)
        if not owners:
            raise next(iter(self._put_off.values()))[1]
        self._owner = owners[0]
        if self._role is not None:
            self._lend("GRANT SELECT ON {} TO {}", self._owner)
        self._wanted = {block for block, (owner, _error) in self._put_off.items() if owner == self._owner}
        self._put_off = {block: found for block, found in self._put_off.items() if block not in self._wanted}
        self._block = 0
        return True

    def take(self, event: Event, reader: DumpReader) -> None:
        """Load what the event carries. Raises psycopg.Error with the server's complaint."""
        if isinstance(event, CopyStart):
            self._block += 1
            self._flush_objects()
            if self._wanted is None or self._block in self._wanted:
                self._prepare_session(reader)
                self._try(lambda: self._begin_table(event))
        elif isinstance(event, CopyData):
            if self._copy is not None:
                copy, data = self._copy, bytes(event.data)
                self._try(lambda: copy.write(data))
        elif isinstance(event, CopyEnd):
            self._copy = None
            self._try(self._open.close)
        elif self._wanted is None:
            self._statement(event.text, reader)

    def _try(self, work: Callable[[], object]) -> None:
        """Do a part of a table's load; when it fails, undo the table and put it off."""
        try:
            with told(f"loading table {self._label}"):
                work()
        except OperationFailed as error:
            self._copy = None
            with suppress(psycopg.Error):
                self._open.__exit__(type(error), error, None)
            if self._loader.closed:
                raise
            self._put_off.setdefault(self._block, (self._owner_of(self._qualified), error))

    def _begin_table(self, event: CopyStart) -> None:
        self._label = f"{event.schema_name}.{event.table}"
        self._qualified = event.qualified
        self._open.enter_context(self._loader.transaction())
        if self._may_be_emptied(event.qualified):
            self._loader.execute(b"TRUNCATE ONLY " + event.qualified)
        cursor = self._open.enter_context(self._loader.cursor())
        self._copy = self._open.enter_context(cursor.copy(event.text.rstrip(b";")))

    def _may_be_emptied(self, qualified: bytes) -> bool:
        """Tell whether a table is an ordinary one: extensions may have filled theirs already, and partitioned ones come in pieces."""
        return self._loader.execute(_ORDINARY + _regclass(qualified)).fetchone() is not None

    def _owner_of(self, qualified: bytes) -> str:
        row = self._loader.execute(_OWNER + _regclass(qualified)).fetchone()
        return str(row["owner"]) if row else ""

    def _prepare_session(self, reader: DumpReader) -> None:
        """Read values as the dump wrote them, and find what the database's own functions name without a schema."""
        if not self._prepared:
            strings = sql.SQL("on" if reader.standard_strings else "off")
            path = sql.SQL(", ").join(map(sql.Literal, self._search_path))
            self._loader.execute(sql.SQL("SET client_encoding = {}").format(reader.encoding))
            self._loader.execute(sql.SQL("SET standard_conforming_strings = {}").format(strings))
            self._loader.execute(sql.SQL("SET search_path = {}").format(path))
            self._loader.execute("SET escape_string_warning = off; SET xmloption = content")
            self._prepared = True

    def _statement(self, text: bytes, reader: DumpReader) -> None:
        if text.startswith(_CREATES_OBJECT) or is_large_object_data(text):
            self._prepare_session(reader)
            self._batch.append(text)
            self._batch_bytes += len(text)
            if self._batch_bytes >= _BATCH_BYTES:
                self._run_batch()
        elif is_sequence_value(text):
            self._flush_objects()
            self._admin.execute(text)
        elif text.startswith(_AUTHORIZATION):
            self._authorization = text
        elif text == _RESET_AUTHORIZATION:
            self._authorization = b""
        elif _ABOUT_OBJECT.match(text):
            grantor = self._authorization
            self._about_objects += [grantor, text, _RESET_AUTHORIZATION] if grantor else [text]
        elif text.startswith(_REFRESH):
            self.refreshes.append(text)

    def _run_batch(self) -> None:
        """Send large object statements, many at a time; one transaction spans all, since an open object ends with it."""
        if not self._in_objects:
            self._loader.execute("BEGIN")
            self._in_objects = True
        self._loader.execute(b"\n".join(self._batch))
        self._batch = []
        self._batch_bytes = 0

    def _flush_objects(self) -> None:
        if self._batch:
            self._run_batch()
        if self._in_objects:
            self._loader.execute("COMMIT")
            self._in_objects = False


def _regclass(qualified: bytes) -> bytes:
    """Return SQL that finds a table by its name as the dump writes it, whatever standard_conforming_strings says."""
    return b"E'" + qualified.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'::pg_catalog.regclass"
