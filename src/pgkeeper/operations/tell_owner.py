"""Tell the owner what went wrong. Telling is a courtesy to the owner: its own failure never becomes the backup's."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pgkeeper.host.logs import log
from pgkeeper.model.errors import ErrorInfo, PgkeeperError
from pgkeeper.model.manifest import Manifest
from pgkeeper.notify.messages import Message, backup_failed, check_failed, database_replaced, drill_done, pitr_failed, sync_failed
from pgkeeper.notify.send import send
from pgkeeper.operations.drill_report import DrillReport
from pgkeeper.operations.places import local_store
from pgkeeper.settings import Settings


def tell_backup_failed(failures: Mapping[str, ErrorInfo], tried: int, settings: Settings) -> tuple[str, ...]:
    """Tell which databases could not be backed up, of `tried` in all. Returns warnings about addresses that could not be reached."""
    return _tell(
        settings,
        lambda now: backup_failed(settings.project_name, settings.console_url, failures, tried, _last_good(settings, set(failures)), now),
    )


def tell_check_failed(failures: Mapping[str, ErrorInfo], settings: Settings) -> tuple[str, ...]:
    """Tell which backups, by their ids, failed a check. Returns warnings about addresses that could not be reached."""
    return _tell(settings, lambda now: check_failed(settings.project_name, settings.console_url, failures, now))


def tell_sync_failed(store: str, problems: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Tell what went wrong with copies in `store`. Returns warnings about addresses that could not be reached."""
    return _tell(settings, lambda now: sync_failed(settings.project_name, settings.console_url, store, problems, now))


def tell_pitr_failed(problems: Sequence[str], hours_left: float | None, settings: Settings) -> tuple[str, ...]:
    """Tell what endangers recovery to any second. Returns warnings about addresses that could not be reached."""
    return _tell(settings, lambda now: pitr_failed(settings.project_name, settings.console_url, problems, hours_left, now))


def tell_replaced(database: str, backup_id: str, kept_as: str, downtime: float, rows: int, settings: Settings) -> tuple[str, ...]:
    """Tell that a database was replaced. Returns warnings about addresses that could not be reached."""
    return _tell(settings, lambda now: database_replaced(settings.project_name, database, backup_id, kept_as, downtime, rows, now))


def tell_drilled(report: DrillReport, settings: Settings) -> tuple[str, ...]:
    """Tell how a drill went. Returns warnings about addresses that could not be reached."""
    databases = {f"{outcome.database} ({outcome.backup_id})": outcome.error for outcome in report.outcomes}
    return _tell(
        settings,
        lambda now: drill_done(
            settings.project_name,
            (report.host, report.drilled_on, report.drill_id),
            databases,
            report.error,
            (report.recovery_seconds, report.age_seconds),
            now,
        ),
    )


def _tell(settings: Settings, compose: Callable[[datetime], Message]) -> tuple[str, ...]:
    if not settings.notify_urls:
        return ()
    try:
        problems = send(compose(datetime.now(UTC)), [url.get_secret_value() for url in settings.notify_urls])
    except Exception as error:  # noqa: BLE001 - see above
        log.error("owner not told", exc_info=error)
        return ("the owner could not be told: the log holds the details",)
    for problem in problems:
        log.error("owner not told", problem=problem)
    return tuple(problems)


def _last_good(settings: Settings, failed: set[str]) -> tuple[Manifest, ...]:
    """Return the newest backup's manifest among the failed databases (or among all), and the one before it of the same database."""
    try:
        backups = local_store(settings).backups()
        newest = next((backup for backup in backups if backup.database in failed), backups[0] if backups else None)
        same = [backup for backup in backups if newest and (backup.cluster, backup.database) == (newest.cluster, newest.database)]
        return tuple(backup.manifest() for backup in same[:2])
    except PgkeeperError as error:
        log.warning("the last good backup is unknown", error=str(error))
        return ()
