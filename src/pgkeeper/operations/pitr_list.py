"""What there is of point-in-time recovery on this host: physical backups, clusters recovered beside, and files kept of before."""

from pgkeeper.model.errors import ErrorInfo, PgkeeperError
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.kept_clusters import (
    InterruptedReplacement,
    KeptDirectory,
    RecoveredCluster,
    interrupted_replacements,
    kept_directories,
    recovered_clusters,
)
from pgkeeper.operations.pitr import attached, pgbackrest, require_pitr
from pgkeeper.operations.production_lineage import current_timeline
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.pgbackrest.info import info
from pgkeeper.settings import Settings


class RepositoryBackups(Message):
    """The physical backups of one attached repository; with an `error` nothing is known of it."""

    repository: RepositoryName
    error: ErrorInfo | None = None
    backups: tuple[PhysicalBackup, ...] = ()


class PitrListReport(Message):
    """What there is. `timeline` is the one that production is on, None where nobody knows."""

    stanza: str
    timeline: int | None
    repositories: tuple[RepositoryBackups, ...]
    recovered: tuple[RecoveredCluster, ...]
    kept: tuple[KeptDirectory, ...]
    interrupted: tuple[InterruptedReplacement, ...]

    @property
    def exit_status(self) -> int:
        """Return 0 when every attached repository answered, else the status that all failures share, or 1."""
        return shared_status(repository.error for repository in self.repositories)


def pitr_list(settings: Settings) -> PitrListReport:
    """List it; what a repository does not answer is in the report. Raises ConfigurationError (exit status 3)."""
    require_pitr(settings)
    program = pgbackrest(settings)
    repositories, timeline = [], None
    for name in attached(settings):
        try:
            found = info(program, number_of(name))
        except PgkeeperError as error:
            repositories.append(RepositoryBackups(repository=name, error=as_error_info(error, f"listing repository {name}")))
            continue
        timeline = timeline or current_timeline(settings, found.system_identifier)
        repositories.append(RepositoryBackups(repository=name, backups=found.backups))
    return PitrListReport(
        stanza=settings.pitr_stanza,
        timeline=timeline,
        repositories=tuple(repositories),
        recovered=recovered_clusters(settings),
        kept=kept_directories(settings),
        interrupted=interrupted_replacements(settings),
    )
