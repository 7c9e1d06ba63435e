"""Which backups may go. A pure decision, so that it can be tried on any history."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

ALWAYS_KEPT = 3
"""However old they are, that many of the newest backups of a database stay."""


@dataclass(frozen=True)
class Held:
    """A backup as retention sees it. `readable` is False when its manifest is damaged: it then counts for nothing."""

    backup_id: str
    created_at: datetime
    readable: bool = True


@dataclass(frozen=True)
class Decision:
    """What happens to one backup, and why."""

    backup_id: str
    keep: bool
    reason: str


@dataclass(frozen=True)
class Verdict:
    """All decisions about one database, newest first. `refused` says why nothing may be removed now; then everything is kept."""

    decisions: tuple[Decision, ...]
    refused: str = ""

    @property
    def removed(self) -> tuple[str, ...]:
        """Return the ids that go, oldest first."""
        return tuple(decision.backup_id for decision in reversed(self.decisions) if not decision.keep)


def decide(backups: Iterable[Held], now: datetime, days: int, fresh: timedelta) -> Verdict:
    """Return what happens to each backup of one database at `now`.

    Kept are: all younger than `days`, the newest three that can be read, those whose manifest is damaged (somebody must look), and
    those that claim to be from the future. Nothing is removed unless a readable backup is younger than `fresh`: expiry that goes on
    while backups fail would end with none.
    """
    ordered = sorted(backups, key=lambda backup: (backup.created_at, backup.backup_id), reverse=True)
    readable = [backup for backup in ordered if backup.readable and backup.created_at <= now]
    refused = ""
    if not readable or now - readable[0].created_at > fresh:
        refused = "there is no fresh backup of this database"
    newest = {backup.backup_id for backup in readable[:ALWAYS_KEPT]}
    decisions = []
    for backup in ordered:
        reason = _reason_to_keep(backup, now, days, newest)
        decisions.append(Decision(backup.backup_id, bool(reason or refused), reason or refused or f"older than {days} days"))
    return Verdict(tuple(decisions), refused)


def _reason_to_keep(backup: Held, now: datetime, days: int, newest: set[str]) -> str:
    if not backup.readable:
        return "its manifest is damaged; look at it, then `pgkeeper delete` it"
    if backup.created_at > now:
        return "it claims to be from the future"
    if backup.backup_id in newest:
        return f"one of the newest {ALWAYS_KEPT}"
    if now - backup.created_at <= timedelta(days=days):
        return f"not older than {days} days"
    return ""
