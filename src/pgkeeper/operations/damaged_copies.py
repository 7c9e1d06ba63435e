"""Which copies off site a check found damaged, and whether the backup on the host can take their place."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pgkeeper.host.logs import log
from pgkeeper.model.errors import IntegrityError, PgkeeperError, is_damage
from pgkeeper.model.progress import Progress
from pgkeeper.off_site_settings import OffSite
from pgkeeper.operations.read_contents import require_contents
from pgkeeper.settings import Settings
from pgkeeper.stores.cloud_copy import CloudCopy
from pgkeeper.stores.local_copy import LocalCopy
from pgkeeper.stores.send import Sender

_INTERRUPTED = "an earlier sync was interrupted while it sent it again"


@dataclass(frozen=True)
class DamagedCopy:
    """A copy whose bytes or contents are wrong, what was `found`, and the `backup` it was made of, None when the host has it no more."""

    copy: CloudCopy
    found: str
    backup: LocalCopy | None


class Stays(NamedTuple):
    """Why a damaged copy is not sent again, and what to do."""

    why: str
    hint: str


def damaged_copies(
    copies: Sequence[CloudCopy], sender: Sender, backups: Sequence[LocalCopy], asked: Collection[str] = ()
) -> tuple[DamagedCopy, ...]:
    """Return those of `copies`, the newest first, that are recorded as damaged, or were being replaced when a sync was killed.

    The oldest comes first; with `asked` only those of these backups. Asks the store for nothing but the records of damage that it lists. A
    copy of which only a restore differed is none of them.
    """
    by_place = {(backup.cluster, backup.backup_id): backup for backup in backups}
    damaged = []
    for copy in reversed(copies):
        if asked and copy.backup_id not in asked:
            continue
        found = _found(copy, sender)
        if found:
            damaged.append(DamagedCopy(copy, found, by_place.get((copy.cluster, copy.backup_id))))
    return tuple(damaged)


def replacement(damaged: DamagedCopy, store: OffSite, settings: Settings, progress: Progress, *, asked: bool) -> LocalCopy | Stays:
    """Return the backup that a damaged copy is to be made of again: it was read to its end, and all contents are right.

    `asked`: somebody named the backup, so its age does not matter. What reading it shows to be damaged is recorded beside it.
    """
    backup = damaged.backup
    remove = f"use another backup; `pgkeeper delete {damaged.copy.backup_id} --from {store}` removes this copy"
    if backup is None:
        return Stays("its backup is not on this host any more", remove)
    if not asked and not timedelta() <= datetime.now(UTC) - backup.created_at <= timedelta(days=settings.retention_days):
        return Stays("its time off site is over", f"`pgkeeper sync {backup.backup_id}` sends it all the same")
    if not backup.whole():
        return Stays("its backup on this host is damaged, too", remove)
    try:
        with backup.being_read():
            progress.phase(f"read {backup.backup_id}")
            require_contents(backup, backup.manifest(), progress)
    except (PgkeeperError, OSError) as error:
        log.error("a backup cannot replace its copy", backup_id=backup.backup_id, error=str(error))
        if not (isinstance(error, IntegrityError) and is_damage(error)):
            return Stays(f"its backup on this host could not be read: {error}", f"`pgkeeper verify {backup.backup_id}` says more")
        _remember(backup, str(error))
        return Stays(f"its backup on this host is damaged, too: {_without_hint(str(error))}", remove)
    return backup


def _without_hint(said: str) -> str:
    """Return an error's line without the next step at its end, which is for whoever used the copy."""
    return said.rpartition(" (")[0] if said.endswith(")") and " (" in said else said


def _found(copy: CloudCopy, sender: Sender) -> str:
    damage = copy.damage()
    if damage is not None and damage.is_certain:
        return _without_hint(damage.found)
    return _INTERRUPTED if sender.is_replacing(copy) else ""


def _remember(backup: LocalCopy, found: str) -> None:
    try:
        backup.keep_damage("contents", found, datetime.now(UTC))
    except (OSError, IntegrityError) as error:
        log.warning("damage could not be recorded", backup_id=backup.backup_id, error=str(error))
