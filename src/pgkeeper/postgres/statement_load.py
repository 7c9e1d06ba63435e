"""Running those of a dump's statements that carry data: large objects and the positions of sequences.

What makes the schema is pg_restore's business; what fills materialized views must wait until privileges are in place.
"""

import re

from pgkeeper.postgres.data_statements import LARGE_OBJECT, SEQUENCE_VALUE, called
from pgkeeper.postgres.dump_reader import DumpReader
from pgkeeper.postgres.server import Session
from pgkeeper.postgres.table_load import TableLoad

_BATCH_BYTES = 1 << 20
_ABOUT_OBJECT = re.compile(
    rb"(?:ALTER|COMMENT ON) LARGE OBJECT \d|(?:GRANT|REVOKE) [A-Z, ]+ ON LARGE OBJECT \d|SECURITY LABEL .* ON LARGE OBJECT \d", re.DOTALL
)
_AUTHORIZATION = b"SET SESSION AUTHORIZATION "
_RESET_AUTHORIZATION = b"RESET SESSION AUTHORIZATION;"
_REFRESH = b"REFRESH MATERIALIZED VIEW "


class StatementLoad:
    """Takes a dump's statements and runs those that carry data; `refreshes` collects those that fill materialized views.

    Large objects are made in the session that `tables` has for `owner`, so `flush` must be called before a table is begun there. `admin`
    (a superuser's session in the database) sets sequences, and at the end gives large objects to their owners.
    """

    def __init__(self, admin: Session, tables: TableLoad, owner: str | None) -> None:
        self.refreshes: list[bytes] = []
        self._admin = admin
        self._tables = tables
        self._owner = owner
        self._about_objects: list[bytes] = []
        self._authorization = b""
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._in_objects = False

    def take(self, text: bytes, reader: DumpReader) -> None:
        """Run or keep what the statement carries. Raises psycopg.Error with the server's complaint."""
        name = called(text)
        if name in LARGE_OBJECT:
            self._session = self._tables.session(self._owner, reader)
            self._batch.append(text)
            self._batch_bytes += len(text)
            if self._batch_bytes >= _BATCH_BYTES:
                self._run_batch()
        elif name == SEQUENCE_VALUE:
            self.flush()
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

    def finish(self) -> None:
        """Hand large objects to their owners."""
        self.flush()
        for statement in self._about_objects:
            self._admin.execute(statement)

    def flush(self) -> None:
        """Send and commit what large objects are under way."""
        if self._batch:
            self._run_batch()
        if self._in_objects:
            self._session.execute("COMMIT")
            self._in_objects = False

    def _run_batch(self) -> None:
        """Send large object statements, many at a time; one transaction spans all, since an open object ends with it."""
        if not self._in_objects:
            self._session.execute("BEGIN")
            self._in_objects = True
        self._session.execute(b"\n".join(self._batch))
        self._batch = []
        self._batch_bytes = 0
