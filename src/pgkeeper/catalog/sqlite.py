"""The catalog as a file: SQLite in WAL mode, readers and one writer at a time, mode 0600."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from pgkeeper.catalog.errors import CatalogDamaged, CatalogForbidden, CatalogUnusable
from pgkeeper.catalog.place import PATIENCE

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_HINTS = {
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_FULL: "free some space on its disk",
    sqlite3.SQLITE_READONLY: "it must be writable for postgres",
    sqlite3.SQLITE_CANTOPEN: "its directory must exist, belong to postgres and have space",
}
_SECONDS_BETWEEN_TRIES = 0.05
_COMPANIONS = ("-wal", "-shm", "")


class SqlitePlace:
    """A catalog in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._engine = _engine(file)

    @property
    def name(self) -> str:
        """Return the file."""
        return str(self._file)

    @contextmanager
    def connection(self, *, writing: bool) -> Iterator[Connection]:
        """Yield a connection; one that writes has said so to SQLite before it reads, or it could be turned away in the middle."""
        try:
            self._make_file()
            with self._engine.connect().execution_options(writing=writing) as connection:
                connection.begin()
                yield connection
        except OSError as error:
            raise CatalogUnusable(self.name, error.strerror or "", _HINTS[sqlite3.SQLITE_CANTOPEN]) from error
        except DBAPIError as error:
            self._explain(error)

    def prepare(self) -> None:
        """Choose WAL mode, which the file then keeps. SQLite does not wait by itself for whoever looks at the file meanwhile."""
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.connection.cursor().execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise CatalogUnusable(self.name, str(error), _HINTS.get(error.sqlite_errorcode & 0xFF, "")) from error
                time.sleep(_SECONDS_BETWEEN_TRIES)
            else:
                return

    def check(self) -> None:
        """Let SQLite look at every page."""
        with self.connection(writing=False) as connection:
            said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if said != "ok":
            raise CatalogDamaged(self._inode())

    def move_aside(self, inode: int | None, reason: str) -> Path | None:
        """Rename the file and what SQLite has put beside it, and remove those that were renamed before."""
        if not self._inode() or (inode is not None and inode != self._inode()):
            return None
        prefix = f"{self._file.name}.{reason}-"
        earlier = [path for path in self._file.parent.iterdir() if path.name.startswith(prefix)]
        aside = self._file.with_name(f"{prefix}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
        for companion in _COMPANIONS:
            with suppress(FileNotFoundError):
                self._file.with_name(self._file.name + companion).rename(f"{aside}{companion}")
        for path in earlier:
            with suppress(OSError):
                path.unlink()
        return aside

    def _make_file(self) -> None:
        """Make an empty file for our eyes only, where there is none; SQLite would leave that to the umask."""
        if not self._file.exists():
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never open an existing one: closing it again would drop SQLite's locks on it.
            with suppress(FileExistsError):
                os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    def _inode(self) -> int:
        try:
            return self._file.stat().st_ino
        except OSError:
            return 0

    def _explain(self, error: DBAPIError) -> NoReturn:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            raise CatalogDamaged(self._inode()) from error
        if self._file.exists() and not os.access(self._file, os.R_OK | os.W_OK):
            raise CatalogForbidden(self.name) from error
        raise CatalogUnusable(self.name, str(error.orig), _HINTS.get(code, "")) from error


def _engine(file: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        poolclass=NullPool,
        connect_args={"timeout": PATIENCE.total_seconds()},
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    # Python's module would begin transactions by itself, and not those that are meant.
    connection.isolation_level = None
    # What a power cut takes from an index, a rebuild brings back; a job's last second is no loss.
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
