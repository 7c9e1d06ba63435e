"""Restore a backup beside what is there: a new database, compared with the manifest, opened only when it is whole."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.model.names import POSTGRES_NAME_BYTES, fit_name
from pgkeeper.model.progress import Progress
from pgkeeper.operations.only_restore import only_restore
from pgkeeper.operations.places import LATEST, copies_in, downloads, one_backup, server
from pgkeeper.operations.reports import Message
from pgkeeper.operations.restore_database import DatabaseRestore
from pgkeeper.operations.resume import resume_first
from pgkeeper.postgres.facts import ClusterIdentity, identify
from pgkeeper.postgres.new_database import PARTIAL_PREFIX, database_exists, database_oid
from pgkeeper.postgres.roles import GlobalsMode, plan_roles
from pgkeeper.postgres.server import Session, require_superuser, told
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy


class RestoreRequest(Message):
    """Which backup, of which database (needed for `latest` where there are several), into which new database.

    `source` is the store it comes from, `host` another host whose copy off site is meant.

    `globals_mode`: bring back roles that are missing, all (existing ones become as in the backup), or none.
    `trust_database` loads data as a superuser, and so lets the database's own code run as one. A `request_id` makes the
    request repeatable: the same one again changes nothing while its database is still there.
    """

    backup: str = LATEST
    database: str | None = None
    source: StoreName = "local"
    host: str = ""
    to: str | None = None
    request_id: str | None = None
    trust_database: bool = False
    globals_mode: GlobalsMode = "missing"
    wait: timedelta = timedelta()


class RestorePlan(Message):
    """What a restore would do. `age_seconds` is the backup's age, `size_bytes` the database's size when it was made."""

    backup_id: str
    database: str
    target: str
    would_change: bool
    reason: str
    size_bytes: int
    created_at: datetime
    age_seconds: float
    roles_created: tuple[str, ...] = ()
    roles_changed: tuple[str, ...] = ()


class RestoreReport(Message):
    """What a restore did. `phases` maps each phase to its seconds; `changed` is False when the request had been done before."""

    backup_id: str
    database: str
    target: str
    changed: bool
    created_at: datetime
    restored_at: datetime
    seconds: float
    phases: dict[str, float]
    tables: int
    rows: int
    created_roles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    request_id: str | None = None


class _Marker(Message):
    """What is remembered of a finished restore: which database of which cluster it made."""

    system_identifier: str
    oid: int | None
    report: RestoreReport


def plan_restore(request: RestoreRequest, settings: Settings) -> RestorePlan:
    """Return what `restore` would do now. Reads only. Raises PgkeeperError where `restore` would refuse at once."""
    with server(settings).connect_maintenance() as session, told("planning the restore"):
        require_superuser(session)
        cluster = identify(session)
        done = _done_before(session, cluster, request, settings)
        if done is not None:
            return _plan(done.backup_id, done.database, done.target, done.created_at, 0, f"done before, at {done.restored_at:%F %T} UTC")
        backup = one_backup(copies_in(settings, request.source, request.host), request.backup, request.database)
        manifest = backup.manifest()
        target = _target(request, backup)
        _require_room(session, cluster, target)
        reason = f"database {target} would be created from backup {backup.backup_id}"
        plan = _plan(backup.backup_id, backup.database, target, backup.created_at, manifest.database.size_bytes, reason, change=True)
        roles = plan_roles(session, manifest.cluster, request.globals_mode)
        names = {"roles_created": tuple(role.name for role in roles.missing), "roles_changed": tuple(role.name for role in roles.changed)}
        return plan.model_copy(update=names)


def restore(request: RestoreRequest, settings: Settings, progress: Progress) -> RestoreReport:
    """Restore a backup into a new database.

    The database appears under its name only after everything in it was compared with the manifest. Raises PgkeeperError: RefusedError when
    the name is taken, IntegrityError when the backup is damaged or what was restored differs from it, BusyError when another restore runs.
    """
    began = time.monotonic()
    resume_first(settings, progress)
    with (
        server(settings).connect_maintenance() as session,
        told("the restore"),
        only_restore(session, settings, request.wait) as cluster,
    ):
        done = _done_before(session, cluster, request, settings)
        if done is not None:
            return done.model_copy(update={"changed": False})
        backup = one_backup(copies_in(settings, request.source, request.host), request.backup, request.database)
        manifest = backup.manifest()
        target = _target(request, backup)
        _require_room(session, cluster, target)
        log.info("restore begun", backup_id=backup.backup_id, target=target)
        try:
            with ExitStack() as stack:
                stack.enter_context(backup.being_read())
                fetching = time.monotonic()
                at_hand = stack.enter_context(backup.at_hand(downloads(settings), progress))
                fetched = {"fetch": round(time.monotonic() - fetching, 3)} if request.source != "local" else {}
                result = DatabaseRestore(
                    session,
                    cluster,
                    at_hand,
                    manifest,
                    target,
                    server(settings),
                    progress,
                    request.trust_database,
                    globals_mode=request.globals_mode,
                ).run()
        except Exception as error:
            log.error("restore failed", backup_id=backup.backup_id, target=target, error=str(error))
            raise
        report = RestoreReport(
            backup_id=backup.backup_id,
            database=backup.database,
            target=target,
            changed=True,
            created_at=backup.created_at,
            restored_at=datetime.now(UTC),
            seconds=time.monotonic() - began,
            phases={**fetched, **result.phases},
            tables=len(manifest.contents.tables),
            rows=manifest.contents.rows,
            created_roles=result.created_roles,
            warnings=tuple(result.warnings),
            request_id=request.request_id,
        )
        try:
            _remember(session, cluster, report, settings)
        except OSError as error:
            warning = f"the request could not be recorded in {_markers(settings)}: {error.strerror}"
            report = report.model_copy(update={"warnings": (*report.warnings, warning)})
        log.info("restore done", backup_id=backup.backup_id, target=target, seconds=round(report.seconds, 1))
        return report


def _target(request: RestoreRequest, backup: Copy) -> str:
    if request.to is None:
        return fit_name(backup.database, f"_restored_{backup.created_at:%Y%m%d_%H%M%S}")
    if not 0 < len(request.to.encode()) <= POSTGRES_NAME_BYTES or "\0" in request.to:
        raise RefusedError(f"{request.to!r} cannot be a database's name", f"it must have 1 to {POSTGRES_NAME_BYTES} bytes")
    if request.to.startswith(PARTIAL_PREFIX):
        raise RefusedError(f"{request.to} cannot be the database's name", f"{PARTIAL_PREFIX}… is for unfinished restores, and removed")
    return request.to


def _require_room(session: Session, cluster: ClusterIdentity, target: str) -> None:
    """Refuse at once where nothing can be created under that name."""
    if cluster.standby:
        raise OperationFailed("nothing can be restored onto this server", "it is a standby", "set PGHOST and PGPORT to its primary")
    if database_exists(session, target):
        raise RefusedError(
            f"a database {target} exists",
            "a restore never overwrites one",
            "choose another name with --to, or drop or rename that database",
        )


def _plan(backup_id: str, database: str, target: str, created_at: datetime, size: int, reason: str, *, change: bool = False) -> RestorePlan:
    return RestorePlan(
        backup_id=backup_id,
        database=database,
        target=target,
        would_change=change,
        reason=reason,
        size_bytes=size,
        created_at=created_at,
        age_seconds=(datetime.now(UTC) - created_at).total_seconds(),
    )


def _markers(settings: Settings) -> Path:
    return settings.state_dir / "restores"


def _remember(session: Session, cluster: ClusterIdentity, report: RestoreReport, settings: Settings) -> None:
    """Leave a marker by which the same request is recognised: it names the cluster and the very database, not just its name."""
    oid = database_oid(session, report.target)
    _markers(settings).mkdir(mode=0o700, exist_ok=True)
    marker = _Marker(system_identifier=cluster.system_identifier, oid=oid, report=report)
    replace_file(_markers(settings) / f"{cluster.system_identifier}-{oid}.json", marker.model_dump_json(indent=1).encode() + b"\n")


def _done_before(session: Session, cluster: ClusterIdentity, request: RestoreRequest, settings: Settings) -> RestoreReport | None:
    """Return the report of the same request, if its database still exists in this cluster (under whatever name).

    Raises RefusedError when the id was used for another backup or target.
    """
    if request.request_id is None:
        return None
    for path in sorted(_markers(settings).glob(f"{cluster.system_identifier}-*.json")):
        try:
            marker = _Marker.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            log.warning("a record of a restore cannot be read", path=str(path), error=type(error).__name__)
            continue
        report = marker.report
        if report.request_id != request.request_id:
            continue
        found = session.execute("SELECT datname AS name FROM pg_database WHERE oid = %s", (marker.oid,)).fetchone()
        if found is None:
            continue
        if (request.backup not in (LATEST, report.backup_id)) or (request.database or report.database) != report.database:
            raise RefusedError(
                f"the request id {request.request_id} was used for another restore",
                f"{report.backup_id} into {report.target}",
                "use a new id for a new request",
            )
        note = () if found["name"] == report.target else (f"the database is now called {found['name']}",)
        return report.model_copy(update={"warnings": (*report.warnings, *note)})
    return None
