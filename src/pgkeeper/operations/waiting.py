"""Which backups are not off site yet, as far as this host knows."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pgkeeper.model.ledger import Ledger
from pgkeeper.stores.local_copy import LocalCopy


def waiting_for(ledger: Ledger, backups: Sequence[LocalCopy], now: datetime, days: int) -> tuple[LocalCopy, ...]:
    """Return the backups that are to be copied and are not in the ledger, the oldest first. Reads the backups' manifests.

    Left out are those whose time off site is over already, those that claim to be from the future, and damaged ones.
    """
    wanted = [
        backup
        for backup in backups
        if now - timedelta(days=days) <= backup.created_at <= now
        and backup.backup_id not in ledger.unwanted
        and ledger.find(backup.cluster, backup.backup_id) is None
        and backup.whole()
    ]
    return tuple(sorted(wanted, key=lambda backup: (backup.created_at, backup.backup_id)))
