"""Remove from the repositories what has had its days. Every physical backup does so as well; this is for whoever does not want to wait."""

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import ErrorInfo
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.pitr import attached, pgbackrest
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.pgbackrest.expire import expire
from pgkeeper.settings import Settings


class PitrExpireOutcome(Message):
    """What went from one repository, or would go: labels of backups, and first and last segments of log. With an `error` nothing did."""

    repository: RepositoryName
    backups: tuple[str, ...] = ()
    log: tuple[tuple[str, str], ...] = ()
    error: ErrorInfo | None = None


class PitrExpireReport(Message):
    """Each repository by itself. `dry_run`: nothing was removed."""

    dry_run: bool
    outcomes: tuple[PitrExpireOutcome, ...]

    @property
    def exit_status(self) -> int:
        """Return 0 when all went well, else the status that all failures share, or 1."""
        return shared_status(outcome.error for outcome in self.outcomes)


def pitr_expire(settings: Settings, *, dry_run: bool) -> PitrExpireReport:
    """Have pgBackRest remove by its configured retention: backups past their days, and log that no backup needs.

    The last backup that a moment within those days needs stays. Raises ConfigurationError (exit status 3) where nothing is set up,
    BusyError while a backup is made.
    """
    program = pgbackrest(settings)
    outcomes = []
    with exclusive(settings.state_dir, "pitr backup", "a physical backup"):
        for name in attached(settings):
            try:
                backups, ranges = expire(program, number_of(name), dry_run=dry_run)
            except Exception as error:  # noqa: BLE001 - one repository never stands in the way of the other
                outcomes.append(PitrExpireOutcome(repository=name, error=as_error_info(error, f"expiring in repository {name}")))
                continue
            log.info("physical backups expired", repository=name, backups=list(backups), dry_run=dry_run)
            outcomes.append(PitrExpireOutcome(repository=name, backups=backups, log=ranges))
    return PitrExpireReport(dry_run=dry_run, outcomes=tuple(outcomes))
