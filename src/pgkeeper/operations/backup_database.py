"""Back up one database: lock, snapshot, dump, check, publish."""

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pgkeeper import __version__
from pgkeeper.host.identity import machine_id
from pgkeeper.host.locks import exclusive
from pgkeeper.model import more_room
from pgkeeper.model.errors import IntegrityError, OperationFailed
from pgkeeper.model.manifest import (
    CONFIG_FILE,
    DATABASE_FILE,
    GLOBALS_FILE,
    SCHEMA_FILE,
    Contents,
    FileEntry,
    Manifest,
    OmittedTable,
)
from pgkeeper.model.names import backup_id
from pgkeeper.model.progress import Progress
from pgkeeper.operations.places import STORE_WAIT, local_store, server, store_lock
from pgkeeper.postgres.dump import Dumper, Snapshot
from pgkeeper.postgres.facts import ClusterIdentity, read_cluster, read_database
from pgkeeper.postgres.lock_room import lock_warnings
from pgkeeper.postgres.partitions import moving_rows
from pgkeeper.postgres.planned_code import filters_run_no_code
from pgkeeper.postgres.server import ChangedMeanwhileError, LockTimeoutError, RecoveryConflictError, told
from pgkeeper.postgres.server_config import server_config_tar
from pgkeeper.postgres.tables import ExpectedTables, in_system_schemas, require_same_labels, require_untouched
from pgkeeper.postgres.understanding import DumpUnderstanding
from pgkeeper.settings import Settings
from pgkeeper.stores.files import read_checked, read_gzip, write_file, write_gzip
from pgkeeper.stores.local import LocalStore
from pgkeeper.stores.local_copy import LocalCopy
from pgkeeper.stores.read_back import ReadBack

_TRIES = 3
_PAUSE_SECONDS = 30
_GLOBALS_END = b"-- PostgreSQL database cluster dump complete"
_TAIL = 4096


def dump_lock(cluster: ClusterIdentity, database: str, settings: Settings, wait: timedelta) -> AbstractContextManager[None]:
    """Keep other backups of this database out meanwhile. Raises BusyError when that takes longer than `wait`."""
    return exclusive(settings.state_dir, f"dump {cluster.label} {database}", f"a backup of {database}", wait)


def back_up_database(
    cluster: ClusterIdentity,
    database: str,
    settings: Settings,
    progress: Progress,
    *,
    keep: bool,
    wait: timedelta,
    adopt: bool,
    purpose: Literal["regular", "pre_restore"] = "regular",
) -> tuple[LocalCopy | None, Manifest]:
    """Make one backup and return where it lies (None unless `keep`) and its manifest; the caller holds the database's `dump_lock`.

    When a table stays locked or changes underneath, or a standby ends what reads it, the whole dump is given up and tried again, so that
    nobody queues behind us for long.
    Raises PgkeeperError or OSError; then nothing was published and nothing is left.
    """
    store = local_store(settings)
    who = (machine_id(settings.state_dir), cluster.label, cluster.system_identifier)
    if not store.claimed(*who):
        with store_lock(settings, max(wait, STORE_WAIT)):
            store.claim(*who, adopt=adopt)
    restless: frozenset[str] | None = None
    for attempt in range(1, _TRIES + 1):
        # A table that was truncated every single time is one that always is (staging, a queue): it must not cost all others theirs.
        tolerated = restless or frozenset() if attempt == _TRIES else frozenset()
        try:
            return _attempt(store, cluster, database, settings, progress, keep=keep, tolerated=tolerated, purpose=purpose)
        except (LockTimeoutError, ChangedMeanwhileError, RecoveryConflictError) as error:
            if attempt == _TRIES:
                raise
            touched = error.tables if isinstance(error, ChangedMeanwhileError) else frozenset()
            restless = touched if restless is None else restless & touched
            progress.note(f"{error.what}; trying again ({attempt + 1} of {_TRIES})")
            pause = attempt if isinstance(error, ChangedMeanwhileError) else _PAUSE_SECONDS
            time.sleep(min(pause, settings.lock_timeout_seconds))
    raise AssertionError("unreachable")


def _attempt(
    store: LocalStore,
    cluster: ClusterIdentity,
    database: str,
    settings: Settings,
    progress: Progress,
    *,
    keep: bool,
    tolerated: frozenset[str],
    purpose: Literal["regular", "pre_restore"],
) -> tuple[LocalCopy | None, Manifest]:
    identity, started = _new_id(store, cluster, database)
    previous = _previous(store, cluster, database)
    _require_space(settings.dir, previous)
    with store.building(cluster.label, database, identity) as place, ReadBack(place / DATABASE_FILE) as data_back:
        with (
            told(f"backup of {database}"),
            server(settings).connect_maintenance() as maintenance,
            filters_run_no_code(server(settings), database, settings.lock_timeout_seconds),
            _snapshot(cluster, database, settings) as snapshot,
        ):
            snapshot_at = datetime.now(UTC)
            warnings = in_system_schemas(snapshot.session) + lock_warnings(snapshot.session)
            facts = read_database(maintenance, snapshot.session, database)
            roles = read_cluster(maintenance, store.home.name)
            expected = ExpectedTables(snapshot.session)
            moving = moving_rows(snapshot.session)
            warnings += moving.warnings
            dumper = Dumper(
                server(settings), database, cluster.major, f"pgkeeper {uuid.uuid4().hex[:12]}", settings.lock_timeout_seconds, progress,
                through_roots=moving.through_roots,
            )  # fmt: skip
            progress.phase(f"schema of {database}")
            schema = write_file(place / SCHEMA_FILE, dumper.schema(snapshot.name, facts.encoding))
            progress.phase(f"dump of {database}")
            total = previous.contents.sql_bytes if previous else facts.size_bytes
            understanding = DumpUnderstanding()
            watched = _watched(dumper.data(snapshot.name, facts.encoding), understanding, total, progress)
            begun = _once_begun(watched, lambda: warnings.extend(_touched(snapshot, tolerated)))
            data = write_gzip(place / DATABASE_FILE, data_back.follow(begun))
            data_back.complete(data)
            with server(settings).connect(database) as present:
                require_same_labels(snapshot.session, present)
            progress.phase(f"globals of {database}")
            others = [
                schema,
                write_gzip(place / GLOBALS_FILE, _complete_globals(dumper.globals())),
                write_gzip(place / CONFIG_FILE, server_config_tar(snapshot.session, warnings)),
            ]
        contents = understanding.finish()
        _require_every_table(expected, contents)
        warnings.extend(_omission_warning(table) for table in expected.omitted)
        progress.phase(f"read back {database}")
        _read_back(place, others)
        _require_size(data_back.size(), contents)
        manifest = Manifest(
            backup_id=identity,
            purpose=purpose,
            made_by=f"pgkeeper {__version__}",
            started_at=started,
            snapshot_at=snapshot_at,
            finished_at=datetime.now(UTC),
            cluster=roles,
            database=facts,
            contents=contents,
            omitted=expected.omitted,
            warnings=tuple(warnings),
            files=(data, *others),
        )
        return (store.publish(place, manifest) if keep else None), manifest


def _snapshot(cluster: ClusterIdentity, database: str, settings: Settings) -> Snapshot:
    return Snapshot(server(settings).connect(database, major=cluster.major), settings.lock_timeout_seconds)


def _new_id(store: LocalStore, cluster: ClusterIdentity, database: str) -> tuple[str, datetime]:
    """Return an id nobody has; ids count in seconds, so two backups within one second wait for the next."""
    taken = {backup.backup_id for backup in store.backups() if backup.cluster == cluster.label}
    while True:
        started = datetime.now(UTC)
        identity = backup_id(database, started)
        if identity not in taken:
            return identity, started
        time.sleep(1 - started.microsecond / 1e6)


def _previous(store: LocalStore, cluster: ClusterIdentity, database: str) -> Manifest | None:
    """Return the manifest of the newest readable backup of this database: what the next one will be like."""
    for backup in store.backups():
        if (backup.cluster, backup.database) == (cluster.label, database):
            try:
                return backup.manifest()
            except IntegrityError:
                continue
    return None


def _require_space(directory: Path, previous: Manifest | None) -> None:
    free = shutil.disk_usage(directory).free
    if previous is not None and free < previous.size_bytes:
        raise OperationFailed(
            "there is too little space for a backup",
            f"{directory} has {free} bytes free, the last backup took {previous.size_bytes}",
            more_room.FOR_BACKUPS,
        )


def _watched(chunks: Iterator[bytes], understanding: DumpUnderstanding, total: int, progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        understanding.feed(chunk)
        progress.advance(understanding.sql_bytes, max(total, understanding.sql_bytes))
        yield chunk


def _touched(snapshot: Snapshot, tolerated: frozenset[str]) -> list[str]:
    names = sorted(require_untouched(snapshot.session, tolerated))
    return [f"{name} is truncated all the time, and was while the backup began: it may be empty in the backup" for name in names]


def _once_begun(chunks: Iterator[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    """Pass chunks on after a check that is made when the first is there: pg_dump has locked every table before it writes anything."""
    first = next(chunks, b"")
    check()
    yield first
    yield from chunks


def _complete_globals(chunks: Iterator[bytes]) -> Iterator[bytes]:
    tail = b""
    for chunk in chunks:
        tail = (tail + chunk)[-_TAIL:]
        yield chunk
    if _GLOBALS_END not in tail:
        raise IntegrityError("the dump of roles is cut short", "pg_dumpall's end marker is missing")


def _require_every_table(expected: ExpectedTables, contents: Contents) -> None:
    mismatch = expected.mismatch({(table.schema_name, table.name) for table in contents.tables})
    if mismatch:
        raise IntegrityError("the dump does not hold the tables of its snapshot", mismatch)


def _omission_warning(table: OmittedTable) -> str:
    return f"{table.schema_name}.{table.name} is not in the backup: {table.reason}"


def _read_back(place: Path, files: list[FileEntry]) -> None:
    """Read files from disk again and compare; compressed ones are decompressed to the end."""
    for entry in files:
        for _ in (read_gzip if entry.name.endswith(".gz") else read_checked)(place / entry.name, entry):
            pass


def _require_size(size: int, contents: Contents) -> None:
    if size != contents.sql_bytes:
        raise IntegrityError(f"{DATABASE_FILE} does not read back", f"{size} bytes came out, {contents.sql_bytes} went in")
