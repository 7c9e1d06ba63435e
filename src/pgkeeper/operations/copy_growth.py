"""How fast the backups of one database grow, as far as that was measured."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from pgkeeper.model.growth import typical_growth_per_day
from pgkeeper.operations.listing import BackupSummary
from pgkeeper.operations.size_history import size_history
from pgkeeper.settings import Settings

Measure = Literal["backups", "database", "none"]

_PAST = timedelta(days=90)


def copy_growth(
    settings: Settings, cluster: str, database: str, copies: Sequence[tuple[datetime, int]], backups: Sequence[BackupSummary], now: datetime
) -> tuple[float | None, Measure]:
    """Return by how many bytes a day one backup of the database grows, and what tells: None and `none` when nothing does.

    Its backups and copies tell where there are some of three days; else the size of the database, times what compression leaves of it.
    """
    own = [backup for backup in backups if (backup.cluster, backup.database) == (cluster, database) and backup.created_at <= now]
    sizes = [*copies, *((backup.created_at, backup.size_bytes) for backup in own if backup.size_bytes is not None)]
    rate = typical_growth_per_day(sizes, now - _PAST)
    if rate is not None:
        return rate, "backups"
    known = [(backup.created_at, backup.database_bytes) for backup in own if backup.database_bytes is not None]
    looked = [look for look in size_history(settings, cluster, database) if look[0] <= now]
    rate = typical_growth_per_day([*looked, *known], now - _PAST)
    ratio = next((backup.size_bytes / backup.database_bytes for backup in own if backup.size_bytes and backup.database_bytes), None)
    return (None, "none") if rate is None or ratio is None else (rate * ratio, "database")
