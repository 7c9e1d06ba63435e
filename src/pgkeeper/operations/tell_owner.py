"""Tell the owner that a backup failed. Telling is a courtesy to the owner: its own failure never becomes the backup's."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pgkeeper.host.logs import log
from pgkeeper.model.errors import ErrorInfo, PgkeeperError
from pgkeeper.model.manifest import Manifest
from pgkeeper.notify.messages import backup_failed
from pgkeeper.notify.send import send
from pgkeeper.operations.places import local_store
from pgkeeper.settings import Settings


def tell_backup_failed(failures: Mapping[str, ErrorInfo], tried: int, settings: Settings) -> tuple[str, ...]:
    """Send the failure message to every address in settings and return warnings about those that could not be reached."""
    if not settings.notify_urls:
        return ()
    try:
        message = backup_failed(
            settings.project_name, settings.console_url, failures, tried, _last_good(settings, set(failures)), datetime.now(UTC)
        )
        problems = send(message, [url.get_secret_value() for url in settings.notify_urls])
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
