"""Running those of a dump's statements that carry data: large objects and the positions of sequences.

What makes the schema is pg_restore's business; what fills materialized views must wait until privileges are in place.
"""

import re

from pgkeeper.postgres.data_statements import LARGE_OBJECT, SEQUENCE_VALUE, called
from pgkeeper.postgres.dump_reader import DumpReader
from pgkeeper.postgres.server import Session
from pgkeeper.postgres.table_load import TableLoad, read_as_written

_BATCH_BYTES = 1 << 20
# Each of these locks an object until its transaction ends, and a server has room for some hundreds of locks at least.
_LOCKED_AT_ONCE = 100
_ABOUT_OBJECT = re.compile(
    rb"(?:ALTER|COMMENT ON) LARGE OBJECT \d|(?:GRANT|REVOKE) [A-Z, ]+ ON LARGE OBJECT \d|SECURITY LABEL .* ON LARGE OBJECT \d", re.DOTALL
)
_AUTHORIZATION = b"SET SESSION AUTHORIZATION "
_RESET_AUTHORIZATION = b"RESET SESSION AUTHORIZATION;"
_REFRESH = b"REFRESH MATERIALIZED VIEW "


class StatementLoad:
    """Takes a dump's statements and runs those that carry data; `refreshes` collects those that fill materialized views.

    Large objects are made in the session that `tables` has for `owner`, so `flush` must be called before a table is begun there. At the
    end `admin` (a superuser's session in the database) gives them to their owners, and sets sequences: no load can move them any more.
    """

    def __init__(self, admin: Session, tables: TableLoad, owner: str | None) -> None:
        self.refreshes: list[bytes] = []
        self._admin = admin
        self._tables = tables
        self._owner = owner
        self._last: list[bytes] = []
        self._reader: DumpReader | None = None
        self._authorization = b""
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._in_objects = False

    def take(self, text: bytes, reader: DumpReader) -> None:
        """Run or keep what the statement carries. Raises psycopg.Error with the server's complaint."""
        self._reader = reader
        name = called(text)
        if name in LARGE_OBJECT:
            self._session = self._tables.session(self._owner, reader)
            self._batch.append(text)
            self._batch_bytes += len(text)
            if self._batch_bytes >= _BATCH_BYTES:
                self._run_batch()
        elif name == SEQUENCE_VALUE:
            self._last.append(text)
        elif text.startswith(_AUTHORIZATION):
            self._authorization = text
        elif text == _RESET_AUTHORIZATION:
            self._authorization = b""
        elif _ABOUT_OBJECT.match(text):
            grantor = self._authorization
            self._last.append(b"\n".join((grantor, text, _RESET_AUTHORIZATION)) if grantor else text)
        elif text.startswith(_REFRESH):
            self.refreshes.append(text)

    def finish(self) -> None:
        """Hand large objects to their owners, and set sequences, many at a time: a commit for each takes longer than all else."""
        self.flush()
        if self._reader is None or not self._last:
            return
        read_as_written(self._admin, self._reader)
        for start in range(0, len(self._last), _LOCKED_AT_ONCE):
            self._admin.execute(b"\n".join(self._last[start : start + _LOCKED_AT_ONCE]))
        self._admin.execute(b"RESET client_encoding; RESET standard_conforming_strings")

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
