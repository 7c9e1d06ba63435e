"""Putting a dump's data into a database whose tables exist and are empty, through several sessions at once.

The server works on each session's table in a process of its own, and that is what takes the time. So each worker gets tables of its own,
reads the whole dump for itself, and passes over the others' tables, which costs little beside loading them.
"""

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from psycopg import sql

from pgkeeper.host.workers import Workers
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.manifest import Contents
from pgkeeper.postgres.dump_reader import CopyData, CopyEnd, CopyStart, DumpReader
from pgkeeper.postgres.load.logins import NOBODY
from pgkeeper.postgres.load.owner_sessions import SUPERUSER, OwnerSessions
from pgkeeper.postgres.server import Session
from pgkeeper.postgres.statement_load import StatementLoad
from pgkeeper.postgres.table_load import TableLoad
from pgkeeper.postgres.understanding import DumpUnderstanding

TableName = tuple[str, str]
"""Schema and name."""

# What making a large object costs beside loading rows, in bytes of these.
_OBJECT_BYTES = 8192

_SCHEMAS = "SELECT nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
_TABLES = """
SELECT n.nspname AS schema_name, c.relname AS name, r.rolname AS owner, r.rolsuper AS superusers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


class DataLoad:
    """Loads all that is data in a dump, each table in a session of its owner.

    Superusers' tables are loaded by `nobody`, a role with no rights but those that `admin` (a superuser's session in the database) lends
    it: to fill and empty these tables. Without that role superusers load everything. What the database's own code could set up on the
    way (a trigger, say) never runs as `admin`.

    `workers` are the sessions of each worker. `read` yields the dump from its beginning, as often as it is called and in several threads at
    once; `contents` says what is in it. `witness` reads along and knows at the end what was in the dump.
    """

    def __init__(
        self,
        admin: Session,
        workers: Sequence[OwnerSessions],
        nobody: str | None,
        read: Callable[[], Iterator[bytes]],
        contents: Contents,
        witness: DumpUnderstanding,
    ) -> None:
        self._admin = admin
        self._nobody = nobody
        self._read = read
        self._witness = witness
        self._owners = {(row["schema_name"], row["name"]): row for row in admin.execute(_TABLES).fetchall()}
        tables = {(table.schema_name, table.name): table.bytes for table in contents.tables}
        self._turns = turns(tables, len(workers), contents.large_objects.count * _OBJECT_BYTES)
        self._loads = [TableLoad(sessions, self._owner_of) for sessions in workers[: 1 + max(self._turns.values(), default=0)]]
        self._statements = StatementLoad(admin, self._loads[0], SUPERUSER if nobody is None else NOBODY)

    @property
    def refreshes(self) -> list[bytes]:
        """The statements that fill materialized views, in the dump's order: to be run once privileges are in place."""
        return self._statements.refreshes

    def run(self, advance: Callable[[int], None]) -> None:
        """Load everything.

        `advance` is told from time to time how many bytes of the dump are done: from any thread, but one at a time. Raises OperationFailed
        or psycopg.Error with the server's complaint, or what `read` raises; then the database is only good to be dropped.
        """
        self._lend_privileges()
        self._load_at_once(advance)
        self._load_put_off()
        self._statements.finish()
        if self._nobody is not None:
            self._admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(self._nobody)))

    def _owner_of(self, schema_name: str, name: str) -> str | None:
        """Return in whose session a table is loaded."""
        if self._nobody is None:
            return SUPERUSER
        row = self._owners.get((schema_name, name))
        return NOBODY if row is None or row["superusers"] else str(row["owner"])

    def _lend_privileges(self) -> None:
        if self._nobody is None:
            return
        role = sql.Identifier(self._nobody)
        for row in self._admin.execute(_SCHEMAS).fetchall():
            self._admin.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(row["name"]), role))
        self._for_superusers_tables("GRANT INSERT, TRUNCATE ON {} TO {}")

    def _for_superusers_tables(self, statement: str) -> None:
        """Run a GRANT or REVOKE for the role that loads superusers' tables."""
        if self._nobody is None:
            return
        for (schema_name, name), row in self._owners.items():
            if row["superusers"]:
                table = sql.Identifier(schema_name, name)
                self._admin.execute(sql.SQL(statement).format(table, sql.Identifier(self._nobody)))

    def _load_at_once(self, advance: Callable[[int], None]) -> None:
        """Let each worker load its tables; the first that fails ends the others."""
        position = _SlowestPosition(len(self._loads), advance)
        with Workers(len(self._loads)) as threads:
            try:
                for number in range(len(self._loads)):
                    threads.begin(number, partial(self._load_own, number, position))
                for _ in self._loads:
                    threads.next_ended()
            except BaseException:
                position.stopped = True
                for load in self._loads:
                    load.break_off()
                raise

    def _load_own(self, number: int, position: "_SlowestPosition") -> None:
        def own(_block: int, table: CopyStart) -> bool:
            return self._turns.get((table.schema_name, table.table), 0) == number

        chunks = position.counted(number, self._read())
        if number == 0:
            _take(self._witness.counted(chunks), self._witness.reader, self._loads[0], own, self._statements, self._witness)
        else:
            _take(chunks, DumpReader(), self._loads[number], own, None)

    def _load_put_off(self) -> None:
        """Take the dump once more, for tables that were put off, those of one owner at a time, until there are none.

        A CHECK may look into another table that comes later. It may read what its owner has, and nobody else's: rows of others must not get
        into its code's hands. Raises OperationFailed with the server's complaint when no owner's tables get any further.
        """
        load = self._loads[0]
        waiting = dict(sorted(item for part in self._loads for item in part.put_off.items()))
        stuck: set[str | None] = set()
        while waiting:
            owners = [owner for owner in {table.owner for table in waiting.values()} if owner not in stuck]
            if not owners:
                raise next(iter(waiting.values())).error
            owner = min(owners, key=str)
            wanted = {block for block, table in waiting.items() if table.owner == owner}
            load.put_off.clear()
            if owner == NOBODY:
                self._for_superusers_tables("GRANT SELECT ON {} TO {}")
            _take(self._read(), DumpReader(), load, _numbered(wanted), None)
            if owner == NOBODY:
                self._for_superusers_tables("REVOKE SELECT ON {} FROM {}")
            stuck = stuck | {owner} if wanted <= set(load.put_off) else set()
            waiting = {block: table for block, table in waiting.items() if block not in wanted} | load.put_off


class _SlowestPosition:
    """How far all sessions have read, so at least that much is done; setting `stopped` ends their reading."""

    def __init__(self, readers: int, advance: Callable[[int], None]) -> None:
        self.stopped = False
        self._bytes = [0] * readers
        self._advance = advance
        self._lock = threading.Lock()

    def counted(self, reader: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield a reader's chunks, counting them."""
        for chunk in chunks:
            if self.stopped:
                raise OperationFailed("loading data was stopped", "another session's work failed")
            yield chunk
            with self._lock:
                self._bytes[reader] += len(chunk)
                self._advance(min(self._bytes))


def turns(tables: Mapping[TableName, int], sessions: int, first: int = 0) -> dict[TableName, int]:
    """Return which session loads which table, so that all have about as many bytes: the largest first, each to who has least.

    The first session has `first` bytes' worth of other work. Where that is most of all, it does the rest, too: each other session would
    have to read past that.
    """
    if sum(tables.values()) < first:
        return dict.fromkeys(tables, 0)
    loads = [(first if number == 0 else 0, number) for number in range(sessions)]
    heapq.heapify(loads)
    found = {}
    for name, size in sorted(tables.items(), key=lambda table: (-table[1], table[0])):
        least, number = heapq.heappop(loads)
        found[name] = number
        heapq.heappush(loads, (least + size, number))
    return found


def _numbered(blocks: set[int]) -> Callable[[int, CopyStart], bool]:
    return lambda block, _table: block in blocks


def _take(
    chunks: Iterable[bytes],
    reader: DumpReader,
    load: TableLoad,
    wanted: Callable[[int, CopyStart], bool],
    statements: StatementLoad | None,
    witness: DumpUnderstanding | None = None,
) -> None:
    """Read a dump once and load the tables that are `wanted`, given their number in the dump, and what `statements` carry.

    `witness` is told of everything that is read.
    """
    block = 0
    with load:
        for chunk in chunks:
            for event in reader.feed(chunk):
                if witness is not None:
                    witness.take(event)
                if isinstance(event, CopyStart):
                    block += 1
                    if wanted(block, event):
                        if statements is not None:
                            statements.flush()
                        load.begin(block, event, reader)
                elif isinstance(event, CopyData):
                    load.data(event.data)
                elif isinstance(event, CopyEnd):
                    load.end()
                elif statements is not None:
                    statements.take(event.text, reader)
    reader.finish()
