"""Detach the repository in the cloud, so that the local one goes on while a bucket is out of reach, and attach it again.

The link in the directory of attached configurations decides; both servers' archive_command and every call of ours read it.
"""

import os
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgkeeper.host.durable import fsync_directory
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError, ConfigurationError, OperationFailed, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.operations.pitr import (
    attached,
    attached_directory,
    cloud_configuration,
    cloud_link,
    pgbackrest,
    pitr_state,
)
from pgkeeper.operations.pitr_backup import PitrBackupOutcome, PitrBackupRequest, pitr_backup
from pgkeeper.operations.pitr_detached import Detached, read_detached, write_detached
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message
from pgkeeper.pgbackrest.archive_push import end_pushes
from pgkeeper.pgbackrest.info import StanzaMissing, info
from pgkeeper.pgbackrest.program import PgBackRest
from pgkeeper.pgbackrest.stanza_create import stanza_create
from pgkeeper.postgres.archiver import end_segment
from pgkeeper.postgres.server import told
from pgkeeper.settings import Settings

_WAIT = timedelta(seconds=30)


class DetachReport(Message):
    """Whether the repository is detached by this call, or was already; since when."""

    repository: RepositoryName
    changed: bool
    since: datetime


class AttachReport(Message):
    """Whether the repository was attached by this call, and the full backup that followed; None where none was owed.

    With an error in `backup` the repository is attached all the same, and the backup still owed.
    """

    repository: RepositoryName
    changed: bool
    backup: PitrBackupOutcome | None
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when all is done, else the status of what failed."""
        return self.backup.error.exit_status if self.backup and self.backup.error else 0


def detach(repository: RepositoryName, settings: Settings) -> DetachReport:
    """Stop writing to a repository. Its log has a gap from now on, until it is attached again.

    The gap is written down before it begins. What is being written there is given up. Raises ConfigurationError (exit status 3) where
    there is no such repository.
    """
    program = pgbackrest(settings)
    _require_configured(settings)
    with exclusive(settings.state_dir, "pitr attached", "another change of what is attached", _WAIT, "try again"):
        known = read_detached(settings, repository)
        changed = repository in attached(settings)
        since = datetime.now(UTC) if changed or known.since is None else known.since
        try:
            write_detached(settings, repository, Detached(since=since, owes_backup=True))
            cloud_link(settings).unlink(missing_ok=True)
            fsync_directory(attached_directory(settings))
        except OSError as error:
            raise OperationFailed(f"repository {repository} could not be detached", error.strerror or "") from error
    ended = end_pushes(program)
    log.info("repository detached", repository=repository, changed=changed, ended_pushes=ended)
    # After failures the server pauses for a minute, unless there is something new to archive.
    with suppress(PgkeeperError), server(settings).connect_maintenance() as session, told("ending a segment"):
        end_segment(session, "pgkeeper pitr detach")
    return DetachReport(repository=repository, changed=changed, since=since)


def attach(repository: RepositoryName, settings: Settings, progress: Progress) -> AttachReport:
    """Write to a repository again, and make a full backup there: behind the gap in its log nothing is of use without.

    First it is tried whether it can be reached, since one that can't be stops archiving to all. Where this is killed in between, or another
    backup is at work, the next attach makes the backup.

    Raises ConfigurationError (exit status 3) where there is no such repository, PgBackRestFailed where it can't be used.
    """
    pgbackrest(settings)
    _require_configured(settings)
    with exclusive(settings.state_dir, "pitr attached", "another change of what is attached", _WAIT, "try again"):
        known = read_detached(settings, repository)
        changed = repository not in attached(settings)
        if changed:
            progress.phase(f"see whether repository {repository} can be reached")
            _try(repository, settings)
            try:
                write_detached(settings, repository, Detached(since=known.since, owes_backup=True))
                _link(settings)
            except OSError as error:
                raise OperationFailed(f"repository {repository} could not be attached", error.strerror or "") from error
            log.info("repository attached", repository=repository)
    if not changed and not known.owes_backup:
        return AttachReport(repository=repository, changed=False, backup=None)
    progress.note(f"a full backup to {repository} follows: what was archived there before has a gap behind it")
    backup, warnings = _back_up(repository, settings, progress)
    if backup.error:
        due = f"repository {repository} is attached, but its full backup is still due"
        warnings = (
            *warnings,
            f"{due}, and nothing can be brought back from there until then: `pgkeeper pitr attach {repository}` makes it",
        )
    return AttachReport(repository=repository, changed=changed, backup=backup, warnings=warnings)


def _back_up(repository: RepositoryName, settings: Settings, progress: Progress) -> tuple[PitrBackupOutcome, tuple[str, ...]]:
    try:
        made = pitr_backup(PitrBackupRequest(kind="full", to=repository), settings, progress)
    except BusyError as error:
        # Its own hint is about an option that attaching has not.
        busy = BusyError(error.what, error.why, "wait for it").info
        return PitrBackupOutcome(repository=repository, kind="full", error=busy), ()
    return made.outcomes[0], made.warnings


def _try(repository: RepositoryName, settings: Settings) -> None:
    """Ask the repository about the cluster, before anything else may depend on it; a new one gets to know it."""
    with tempfile.TemporaryDirectory(prefix=".trying-", dir=pitr_state(settings)) as directory:
        (Path(directory) / cloud_link(settings).name).symlink_to(cloud_configuration(settings))
        probe = PgBackRest(settings.pitr_config_file, Path(directory), settings.pitr_stanza)
        try:
            info(probe, number_of(repository))
        except StanzaMissing:
            stanza_create(probe)


def _link(settings: Settings) -> None:
    temporary = attached_directory(settings) / f".{cloud_link(settings).name}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(cloud_configuration(settings))
    temporary.rename(cloud_link(settings))
    fsync_directory(attached_directory(settings))


def _require_configured(settings: Settings) -> None:
    if not cloud_configuration(settings).exists():
        raise ConfigurationError(
            "there is no repository cloud",
            f"{cloud_configuration(settings)} does not exist",
            "deploy with pgkeeper_cloud_enabled: true and role pgkeeper_wal",
        )
