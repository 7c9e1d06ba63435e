"""Running pg_dump and pg_dumpall: one consistent snapshot, a bounded wait for locks, and the one who blocks named."""

import os
import select
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from subprocess import PIPE
from types import TracebackType
from typing import Self

import psycopg

from pgkeeper.host.logs import log
from pgkeeper.host.processes import Child, describe
from pgkeeper.model.errors import OperationFailed, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.postgres.lock_room import LOCKS_HINT
from pgkeeper.postgres.oversized_row import oversized_row
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import (
    CONFLICT_HINT,
    ChangedMeanwhileError,
    LockTimeoutError,
    RecoveryConflictError,
    Server,
    Session,
    is_recovery_conflict,
)

CHUNK = 1 << 20
_IDLE_SECONDS = 0.25
_SILENT_SECONDS = 0.05
_GATHER_SECONDS = 0.001
_F_SETPIPE_SZ = 1031
# The server's words (in English, since sessions set lc_messages) when DDL came between a snapshot and its use.
_CHANGED = ("does not exist", "could not open relation", "cache lookup failed", "was concurrently")

_BLOCKERS = """
SELECT b.pid, b.usename AS role, b.application_name AS application, b.state,
       extract(epoch FROM now() - b.xact_start)::int AS seconds,
       (SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE l.pid = w.pid AND NOT l.granted LIMIT 1) AS waits_for
FROM pg_stat_activity w, unnest(pg_blocking_pids(w.pid)) AS blocker(pid) JOIN pg_stat_activity b ON b.pid = blocker.pid
WHERE w.application_name = %s AND w.usename = current_user LIMIT 1
"""


@dataclass
class Snapshot:
    """An exported snapshot, held open by a read-only transaction until the block ends.

    Everything that goes into one backup is read under it (PostgreSQL documentation, "Snapshot Synchronization Functions").
    """

    session: Session
    lock_timeout_seconds: int
    name: str = field(default="", init=False)

    def __enter__(self) -> Self:
        """Begin the transaction and export its snapshot."""
        self.session.execute(f"SET lock_timeout = '{int(self.lock_timeout_seconds)}s'")
        self.session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = self.session.execute("SELECT pg_export_snapshot() AS name").fetchone()
        assert row is not None
        self.name = row["name"]
        return self

    def __exit__(self, _type: type[BaseException] | None, value: BaseException | None, _traceback: TracebackType | None) -> None:
        """End the transaction by ending the session.

        Raises RecoveryConflictError where the block failed and the snapshot is gone because of a standby's replay: pg_dump only says that
        it does not find it.
        """
        try:
            # Not after any failure: a server that is out of reach would keep us waiting.
            if isinstance(value, PgkeeperError) and "snapshot" in value.why:
                self.session.execute("SELECT")
        except psycopg.Error as error:
            if is_recovery_conflict(words := " ".join(str(error).split())):
                raise RecoveryConflictError("the snapshot of the backup was lost", words, CONFLICT_HINT) from value
        finally:
            self.session.close()


@dataclass(frozen=True)
class Dumper:
    """Runs PostgreSQL's dump programs against one database of one server.

    With `through_roots` the rows of partitions are dumped as rows of the root of their tree (`partitions.py`).
    """

    server: Server
    database: str
    major: int
    tag: str
    lock_timeout_seconds: int
    progress: Progress
    through_roots: bool = False

    def data(self, snapshot: str | None, encoding: str) -> Iterator[bytes]:
        """Yield the plain SQL dump of the whole database in chunks of at most 1 MiB, under `snapshot` or one of its own."""
        return self._pg_dump(snapshot, encoding, "--format=plain", *(["--load-via-partition-root"] if self.through_roots else []))

    def schema(self, snapshot: str, encoding: str) -> Iterator[bytes]:
        """Yield the schema in pg_dump's custom format, which gives pg_restore its dependency order."""
        return self._pg_dump(snapshot, encoding, "--format=custom", "--schema-only")

    def definitions(self, encoding: str) -> Iterator[bytes]:
        """Yield the plain SQL dump of the schema alone."""
        return self._pg_dump(None, encoding, "--format=plain", "--schema-only")

    def globals(self) -> Iterator[bytes]:
        """Yield roles and tablespaces as SQL (pg_dumpall --globals-only)."""
        target = f"{self.server.target(self.database)} application_name='{self.tag}'"
        return self._output([str(program("pg_dumpall", self.major)), "--globals-only", "--no-password", "-d", target])

    def _pg_dump(self, snapshot: str | None, encoding: str, *options: str) -> Iterator[bytes]:
        arguments = [
            str(program("pg_dump", self.major)),
            *options,
            "--no-password",
            f"--encoding={encoding}",
            f"--lock-wait-timeout={self.lock_timeout_seconds}s",
            "-d",
            f"{self.server.target(self.database)} application_name='{self.tag}'",
        ]
        if snapshot is not None:
            arguments.append(f"--snapshot={snapshot}")
        return self._output(arguments)

    def _output(self, arguments: Sequence[str]) -> Iterator[bytes]:
        """Yield a program's output; at its end its exit status decides."""
        with Child(arguments, self.server.environment(self.major), stdout=PIPE) as child:
            blockers = _BlockerWatch(self)
            pipe = child.stdout.fileno()
            widened = _widen(pipe)
            try:
                while True:
                    if not select.select([pipe], [], [], _IDLE_SECONDS)[0]:
                        blockers.look()
                        continue
                    chunk = _fill(pipe, gather=widened)
                    if not chunk:
                        break
                    yield chunk
            finally:
                blockers.close()
            status = child.wait()
            if status != 0:
                raise self._failure(child, status, blockers.last)

    def _failure(self, child: Child, status: int, blocker: str) -> PgkeeperError:
        words = describe(child, status)
        if "LOCK TABLE" in words and "timeout" in words:
            return LockTimeoutError(
                f"database {self.database} could not be dumped: a table stayed locked for {self.lock_timeout_seconds} s",
                blocker or words,
                "end the blocking session or raise BACKUP_LOCK_TIMEOUT_SECONDS",
            )
        what = f"{child.name} of {self.database} failed"
        if is_recovery_conflict(words):
            return RecoveryConflictError(what, words, CONFLICT_HINT)
        if too_large := oversized_row(words, self.server, self.database):
            return too_large
        if any(sign in words for sign in _CHANGED):
            return ChangedMeanwhileError(what, words)
        return OperationFailed(what, words, LOCKS_HINT if "out of shared memory" in words else "")


class _BlockerWatch:
    """Finds out who holds the lock that a silent dump waits for, and says so once."""

    def __init__(self, dumper: Dumper) -> None:
        self.last = ""
        self._dumper = dumper
        self._session: Session | None = None

    def look(self) -> None:
        """Ask the server; a failing question is no reason to fail a dump."""
        try:
            if self._session is None:
                self._session = self._dumper.server.connect(self._dumper.database)
            row = self._session.execute(_BLOCKERS, (self._dumper.tag,)).fetchone()
        except Exception as error:  # noqa: BLE001 - looking is a courtesy
            log.warning("who blocks the dump is unknown", error=f"{type(error).__name__}: {error}")
            self.close()
            return
        if row is None:
            return
        text = (
            f"{row['waits_for'] or 'a table'} is locked by process {row['pid']} "
            f"({row['role']}, {row['application'] or 'no application name'}, {row['state']} for {row['seconds']} s)"
        )
        if self.last.partition(" for ")[0] != text.partition(" for ")[0]:
            self._dumper.progress.note(f"waiting: {text}")
        self.last = text

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _widen(pipe: int) -> bool:
    """Let the pipe hold 1 MiB: fewer switches between pg_dump and us. Tells whether it does: that is not allowed everywhere."""
    import fcntl

    try:
        return fcntl.fcntl(pipe, _F_SETPIPE_SZ, CHUNK) >= CHUNK
    except OSError:
        return False


def _fill(pipe: int, *, gather: bool) -> bytes:
    """Read until a whole chunk is there, the pipe is silent, or the program has ended.

    `gather` lets more come together before each read: pg_dump writes a few kilobytes at a time, and being woken for each costs both sides
    more than their work. Not with a small pipe, which would be full meanwhile.
    """
    parts = [os.read(pipe, CHUNK)]
    size = len(parts[0])
    while parts[-1] and size < CHUNK:
        if gather:
            select.select([], [], [], _GATHER_SECONDS)
        if not select.select([pipe], [], [], _SILENT_SECONDS)[0]:
            break
        parts.append(os.read(pipe, CHUNK - size))
        size += len(parts[-1])
    return parts[0] if len(parts) == 1 else b"".join(parts)
