"""Make a physical backup in every attached repository: moments behind it can be brought back from it."""

import time
from datetime import UTC, datetime, timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError, ErrorInfo
from pgkeeper.model.physical_backup import BackupKind, PhysicalBackup, kind_due
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.pitr import attached, pgbackrest, require_attached
from pgkeeper.operations.pitr_detached import Detached, read_detached, write_detached
from pgkeeper.operations.pitr_history import history_problem
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.operations.tell_owner import tell_pitr_failed
from pgkeeper.pgbackrest.backup import backup, held
from pgkeeper.pgbackrest.info import info
from pgkeeper.pgbackrest.program import PgBackRest, PgBackRestFailed
from pgkeeper.postgres.archiver import cluster_bytes, history_file
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings


class PitrBackupRequest(Message):
    """Make a backup. `kind` None: a full one where the newest is a week old, else a differential one. `to` None: everywhere.

    `wait`: how long to wait for another one that runs.
    """

    kind: BackupKind | None = None
    to: RepositoryName | None = None
    wait: timedelta = timedelta()


class PitrBackupOutcome(Message):
    """How it went in one repository. With an `error` there is no `backup`; `kind` is what was meant to be made."""

    repository: RepositoryName
    kind: BackupKind | None
    backup: PhysicalBackup | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class PitrBackupReport(Message):
    """What was made, per repository."""

    outcomes: tuple[PitrBackupOutcome, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when all went well, else the status that all failures share, or 1."""
        return shared_status(outcome.error for outcome in self.outcomes)


def pitr_backup(request: PitrBackupRequest, settings: Settings, progress: Progress) -> PitrBackupReport:
    """Make a backup in each repository. What fails is in the report, and the owner is told.

    Raises ConfigurationError (exit status 3) where nothing is set up, UsageError (exit status 2) for a repository that is not attached,
    and BusyError (exit status 5) while another one runs for longer than `wait`.
    """
    program = pgbackrest(settings)
    if request.to is not None:
        require_attached(settings, request.to)
    with exclusive(settings.state_dir, "pitr backup", "a physical backup", request.wait):
        repositories = (request.to,) if request.to else attached(settings)
        outcomes = [_one(name, request.kind, program, settings, progress) for name in repositories]
    problems = [str(outcome.error) for outcome in outcomes if outcome.error]
    warnings = tell_pitr_failed(problems, None, settings) if problems else ()
    return PitrBackupReport(outcomes=tuple(outcomes), warnings=warnings)


def _one(name: RepositoryName, wanted: BackupKind | None, program: PgBackRest, settings: Settings, progress: Progress) -> PitrBackupOutcome:
    began = time.monotonic()
    kind = wanted
    try:
        owed = read_detached(settings, name)
        known = info(program, number_of(name))
        kind = wanted or kind_due(known.backups, datetime.now(UTC), gap=owed.owes_backup)
        with server(settings).connect_maintenance() as session, told("asking the server for its size and timeline"):
            require_superuser(session)
            size, history = cluster_bytes(session), history_file(session)
        lacking = history_problem(history, name, known.archive_id, program)
        progress.phase(f"{kind} backup to {name}")
        label, warnings = backup(program, number_of(name), kind, size, progress)
        made = next((one for one in info(program, number_of(name)).backups if one.label == label), None)
        if made is not None and made.kind == "full" and owed.owes_backup:
            write_detached(settings, name, Detached())
        log.info("physical backup made", repository=name, label=label, kind=made.kind if made else kind)
        warnings = (lacking, *warnings) if lacking else warnings
        return PitrBackupOutcome(repository=name, kind=kind, backup=made, seconds=round(time.monotonic() - began, 2), warnings=warnings)
    except Exception as error:  # noqa: BLE001 - one repository never stands in the way of the other
        found = as_error_info(_busy(error), f"a physical backup to repository {name}")
        log.error("physical backup failed", repository=name, error=str(found))
        return PitrBackupOutcome(repository=name, kind=kind, seconds=round(time.monotonic() - began, 2), error=found)


def _busy(error: Exception) -> Exception:
    if isinstance(error, PgBackRestFailed) and held(error):
        return BusyError(error.what, error.why, "wait until pgBackRest's other command has ended")
    return error
