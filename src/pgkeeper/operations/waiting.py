"""Which backups are not off site yet, as far as this host knows."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from pgkeeper.model.ledger import Ledger
from pgkeeper.stores.local_copy import LocalCopy


def waiting_for(
    ledger: Ledger, backups: Sequence[LocalCopy], now: datetime, days: int, asked: Collection[str] = ()
) -> tuple[LocalCopy, ...]:
    """Return the backups that are to be copied and are not in the ledger, the oldest first. Reads the backups' manifests.

    Left out are damaged ones, those whose time off site is over already, those that claim to be from the future, and those whose copy was
    removed on purpose. With `asked` it is those, whatever their age, and no others.
    """
    there = {(copy.cluster, copy.backup_id) for copy in ledger.copies}
    unwanted = frozenset(ledger.unwanted)
    wanted = [
        backup
        for backup in backups
        if (backup.backup_id in asked if asked else _is_wanted(unwanted, backup, now, days))
        and (backup.cluster, backup.backup_id) not in there
        and backup.whole()
    ]
    return tuple(sorted(wanted, key=lambda backup: (backup.created_at, backup.backup_id)))


def _is_wanted(unwanted: Collection[str], backup: LocalCopy, now: datetime, days: int) -> bool:
    return now - timedelta(days=days) <= backup.created_at <= now and backup.backup_id not in unwanted
