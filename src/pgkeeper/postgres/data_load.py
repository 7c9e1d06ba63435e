"""Putting a dump's data into a database whose tables exist and are empty, through several sessions at once.

The server works on each session's table in a process of its own, and that is what takes the time. So each session gets tables of its own,
reads the whole dump for itself, and passes over the others' tables, which costs little beside loading them.
"""

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.dump_reader import CopyData, CopyEnd, CopyStart, DumpReader
from pgkeeper.postgres.server import Session, cut
from pgkeeper.postgres.statement_load import StatementLoad
from pgkeeper.postgres.table_load import TableLoad

TableName = tuple[str, str]
"""Schema and name."""

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


class DataLoad:
    """Loads all that is data in a dump.

    `admin` (a superuser's session in the database) lends the loaders' `role` what it needs: to read, fill and empty the tables of this one
    database. Without a role the loaders are superusers and need nothing. What the database's own code could set up on the way (a
    trigger, say) never runs as `admin`.

    `read` yields the dump from its beginning, as often as it is called and in several threads at once; `tables` says how many bytes each
    table has in it.
    """

    def __init__(
        self,
        admin: Session,
        loaders: Sequence[Session],
        role: str | None,
        search_path: Sequence[str],
        read: Callable[[], Iterator[bytes]],
        tables: Mapping[TableName, int],
    ) -> None:
        self._admin = admin
        self._role = role
        self._read = read
        self._loads = [TableLoad(loader, search_path) for loader in loaders]
        self._statements = StatementLoad(admin, self._loads[0])
        self._turns = turns(tables, len(loaders))

    @property
    def refreshes(self) -> list[bytes]:
        """The statements that fill materialized views, in the dump's order: to be run once privileges are in place."""
        return self._statements.refreshes

    def run(self, advance: Callable[[int], None]) -> None:
        """Load everything.

        `advance` is told from time to time how many bytes of the dump are done: from any thread, but one at a time. Raises OperationFailed
        or psycopg.Error with the server's complaint, or what `read` raises; then the database is only good to be dropped.
        """
        closed = self._lend_privileges()
        self._load_at_once(advance)
        self._load_put_off()
        self._statements.finish()
        self._take_privileges_back(closed)

    def _lend_privileges(self) -> list[sql.Composed]:
        """Lend the role what it needs, and close powerful roles' SECURITY DEFINER functions to code that runs while data is loaded.

        They were made open to everybody, as PostgreSQL makes them; what the backup forbids comes only with the privileges, after the data.
        Returns the functions that were closed.
        """
        if self._role is None:
            return []
        role = sql.Identifier(self._role)
        for row in self._admin.execute(_SCHEMAS).fetchall():
            self._admin.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(row["name"]), role))
        self._for_tables("GRANT INSERT, TRUNCATE ON {} TO {}", None)
        closed = []
        for row in self._admin.execute(_POWERFUL_FUNCTIONS).fetchall():
            function = sql.SQL("{}({})").format(sql.Identifier(row["schema_name"], row["name"]), sql.SQL(row["arguments"]))
            self._admin.execute(sql.SQL("REVOKE EXECUTE ON ROUTINE {} FROM PUBLIC").format(function))
            closed.append(function)
        return closed

    def _take_privileges_back(self, closed: list[sql.Composed]) -> None:
        if self._role is not None:
            self._admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(self._role)))
        for function in closed:
            self._admin.execute(sql.SQL("GRANT EXECUTE ON ROUTINE {} TO PUBLIC").format(function))

    def _for_tables(self, statement: str, owner: str | None) -> None:
        """Run a GRANT or REVOKE for the role over all ordinary tables, or those of one owner."""
        if self._role is None:
            return
        for row in self._admin.execute(_TABLES, {"owner": owner}).fetchall():
            table = sql.Identifier(row["schema_name"], row["name"])
            self._admin.execute(sql.SQL(statement).format(table, sql.Identifier(self._role)))

    def _load_at_once(self, advance: Callable[[int], None]) -> None:
        """Let each session load its tables; the first that fails ends the others."""
        position = _SlowestPosition(len(self._loads), advance)
        with ThreadPoolExecutor(len(self._loads)) as threads:
            works = [threads.submit(self._load_own, number, position) for number in range(len(self._loads))]
            try:
                for work in wait(works, return_when=FIRST_EXCEPTION).done:
                    work.result()
            except BaseException:
                position.stopped = True
                for load in self._loads:
                    cut(load.session)
                raise

    def _load_own(self, number: int, position: "_SlowestPosition") -> None:
        def own(_block: int, table: CopyStart) -> bool:
            return self._turns.get((table.schema_name, table.table), 0) == number

        _take(position.counted(number, self._read()), self._loads[number], own, self._statements if number == 0 else None)

    def _load_put_off(self) -> None:
        """Take the dump once more, for tables that were put off, those of one owner at a time, until there are none.

        A CHECK may look into another table that comes later. It may read what its owner has, and nobody else's: rows of others must not get
        into its code's hands. Raises OperationFailed with the server's complaint when no owner's tables get any further.
        """
        load = self._loads[0]
        waiting = dict(sorted(item for part in self._loads for item in part.put_off.items()))
        stuck: set[str] = set()
        while waiting:
            owners = sorted({table.owner for table in waiting.values()} - stuck)
            if not owners:
                raise next(iter(waiting.values())).error
            wanted = {block for block, table in waiting.items() if table.owner == owners[0]}
            load.put_off.clear()
            self._for_tables("GRANT SELECT ON {} TO {}", owners[0])
            _take(self._read(), load, _numbered(wanted), None)
            self._for_tables("REVOKE SELECT ON {} FROM {}", owners[0])
            stuck = stuck | {owners[0]} if wanted <= set(load.put_off) else set()
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


def turns(tables: Mapping[TableName, int], sessions: int) -> dict[TableName, int]:
    """Return which session loads which table, so that all have about as many bytes: the largest first, each to who has least."""
    loads = [(0, number) for number in range(sessions)]
    found = {}
    for name, size in sorted(tables.items(), key=lambda table: (-table[1], table[0])):
        least, number = heapq.heappop(loads)
        found[name] = number
        heapq.heappush(loads, (least + size, number))
    return found


def _numbered(blocks: set[int]) -> Callable[[int, CopyStart], bool]:
    return lambda block, _table: block in blocks


def _take(chunks: Iterable[bytes], load: TableLoad, wanted: Callable[[int, CopyStart], bool], statements: StatementLoad | None) -> None:
    """Read a dump once and load the tables that are `wanted`, given their number in the dump, and what `statements` carry."""
    reader = DumpReader()
    block = 0
    with load:
        for chunk in chunks:
            for event in reader.feed(chunk):
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
