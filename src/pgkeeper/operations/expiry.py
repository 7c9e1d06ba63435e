"""What retention says of the backups in one store, database by database, and doing so."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from pgkeeper.host.logs import log
from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import BusyError
from pgkeeper.model.retention import Held, Policy, Verdict, decide
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.reports import Message
from pgkeeper.stores.copy import Copy
from pgkeeper.stores.store import Kind, Store


class ExpiryDecision(Message):
    """What happens to one backup, and why."""

    backup_id: str
    keep: bool
    reason: str


class DatabaseExpiry(Message):
    """What happens to the copies of one database's backups in one store; `refused` says why none is removed."""

    store: StoreName
    cluster: str
    database: str
    refused: str
    decisions: tuple[ExpiryDecision, ...]


def decide_all(
    store: StoreName,
    backups: Iterable[Kind],
    now: datetime,
    policy: Policy,
    held_back: str,
    unchanged: Callable[[Kind], bool] = lambda _backup: False,
) -> Iterator["Expiry"]:
    """Yield what retention says of each database's backups. Changes nothing.

    Reads their proofs, and the manifests of those that are not known to be `unchanged` since they were whole.
    """
    groups: dict[tuple[str, str], list[Kind]] = {}
    for backup in backups:
        groups.setdefault((backup.cluster, backup.database), []).append(backup)
    for (cluster, database), group in sorted(groups.items()):
        # Whoever does not hold the store lock may see one go while it looks.
        held = [found for backup in group if (found := _held(backup, unchanged=unchanged(backup))).readable or not backup.gone()]
        yield Expiry(store, cluster, database, group, decide(held, now, policy, held_back))


class Expiry:
    """What retention says of one database's backups, and what became of it."""

    def __init__(self, store: StoreName, cluster: str, database: str, backups: Iterable[Copy], verdict: Verdict) -> None:
        self.store: StoreName = store
        self.cluster = cluster
        self.database = database
        self.verdict = verdict
        self.removed = list(verdict.removed)
        self.problems: list[str] = []
        self._backups = {backup.backup_id: backup for backup in backups}
        self._kept_after_all: dict[str, str] = {}

    def carry_out(self, store: Store[Any]) -> None:
        """Remove what may go, the oldest first. What can't be removed is kept, and costs the others nothing."""
        if self.verdict.refused:
            log.warning("expiry refused", store=self.store, cluster=self.cluster, database=self.database, reason=self.verdict.refused)
        for backup_id in self.verdict.removed:
            try:
                store.delete(self._backups[backup_id])
            except BusyError:
                self._keep(backup_id, "it is being read")
            except Exception as error:  # noqa: BLE001 - one backup never stands in the way of the others
                problem = str(as_error_info(error, f"removing backup {backup_id}"))
                self._keep(backup_id, problem)
                self.problems.append(problem)
                log.error("backup not expired", store=self.store, backup_id=backup_id, error=problem)
            else:
                log.info("backup expired", store=self.store, backup_id=backup_id)

    def report(self) -> DatabaseExpiry:
        """Return it as part of a report."""
        decisions = tuple(
            ExpiryDecision(
                backup_id=decision.backup_id,
                keep=decision.keep or decision.backup_id in self._kept_after_all,
                reason=self._kept_after_all.get(decision.backup_id, decision.reason),
            )
            for decision in self.verdict.decisions
        )
        return DatabaseExpiry(
            store=self.store, cluster=self.cluster, database=self.database, refused=self.verdict.refused, decisions=decisions
        )

    def _keep(self, backup_id: str, reason: str) -> None:
        self._kept_after_all[backup_id] = reason
        self.removed.remove(backup_id)


def _held(backup: Copy, *, unchanged: bool) -> Held:
    whole = not backup.known_wrong() if unchanged else backup.whole()
    proven = whole and "restore" in backup.proofs()
    return Held(backup.backup_id, backup.created_at, whole, proven, backup.pinned(), whole and backup.damage() is not None)
