"""Which backups may go. A pure decision, so that it can be tried on any history.

Everything is reckoned in UTC: a day is a UTC day, a week an ISO 8601 week (Monday to Sunday; the days around New Year belong to the year
that most of their week lies in). Summer time therefore plays no part.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

ALWAYS_KEPT = 3
"""However old they are, that many of the newest backups of a database stay."""
FRESH = timedelta(hours=28)
"""A database whose newest backup is older is overdue; from then on nothing of it is removed."""


@dataclass(frozen=True)
class Policy:
    """How long backups are kept: all for `days`, and beyond that the newest one of each of the last so many days, weeks, months and years.

    Only days, weeks, months and years that have a readable backup are counted, so a time without backups uses up nothing.
    """

    days: int
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


@dataclass(frozen=True)
class Held:
    """A backup as retention sees it.

    `readable` is False when it is damaged: it then counts for nothing. `proven`: it was restored and compared, with a genuine proof.
    `pinned`: its owner wants it kept. `differs`: its contents are right, but what was restored differed.
    """

    backup_id: str
    created_at: datetime
    readable: bool = True
    proven: bool = False
    pinned: bool = False
    differs: bool = False


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


def decide(backups: Iterable[Held], now: datetime, policy: Policy, held_back: str = "") -> Verdict:
    """Return what happens to each backup of one database at `now`.

    Kept are: what is pinned, what is damaged (somebody must look), what claims to be from the future, the newest three that can be read,
    the newest proven one, and what `policy` keeps. One that differs when it is restored counts as the others do, but costs none of them its
    place: whatever would be kept without it is kept. Nothing is removed unless a readable backup is younger than 28 hours: expiry that goes
    on while backups fail would end with none. Nor while `held_back` says why nothing may be removed at all.
    """
    ordered = sorted(backups, key=lambda backup: (backup.created_at, backup.backup_id), reverse=True)
    believed = [backup for backup in ordered if backup.readable and backup.created_at <= now]
    refused = held_back
    if not believed or now - believed[0].created_at > FRESH:
        refused = refused or "there is no fresh backup of this database"
    # What differs may be the last good one, and may not be as good as it looks: it is kept as a good one, and replaces none.
    reasons = _reasons_to_keep(believed, now, policy) | _reasons_to_keep([each for each in believed if not each.differs], now, policy)
    decisions = []
    for backup in ordered:
        reason = _owners_business(backup, now) or reasons.get(backup.backup_id, "")
        decisions.append(Decision(backup.backup_id, bool(reason or refused), reason or refused or _why_it_goes(policy)))
    return Verdict(tuple(decisions), refused)


def _owners_business(backup: Held, now: datetime) -> str:
    """Return why this backup is not for expiry to judge."""
    if backup.pinned:
        return "it is pinned"
    if not backup.readable:
        return "it is damaged or cannot be read; `pgkeeper status` says what to do"
    if backup.created_at > now:
        return "it claims to be from the future"
    return ""


def _reasons_to_keep(believed: Sequence[Held], now: datetime, policy: Policy) -> dict[str, str]:
    """Return why the policy keeps which of the backups that count, given newest first; the first reason found is the one told."""
    reasons: dict[str, str] = {}
    for backup in believed[:ALWAYS_KEPT]:
        reasons[backup.backup_id] = f"one of the newest {ALWAYS_KEPT}"
    for backup in believed:
        if backup.proven:
            reasons.setdefault(backup.backup_id, "the newest proven one")
            break
    for backup in believed:
        if now - backup.created_at <= timedelta(days=policy.days):
            reasons.setdefault(backup.backup_id, f"not older than {policy.days} days")
    for count, unit, period in (
        (policy.daily, "day", _day),
        (policy.weekly, "week", _week),
        (policy.monthly, "month", _month),
        (policy.yearly, "year", _year),
    ):
        for name, backup in _newest_of_each(believed, period, count).items():
            reasons.setdefault(backup.backup_id, f"the newest of {unit} {name}")
    return reasons


def _newest_of_each(believed: Sequence[Held], period: Callable[[datetime], str], count: int) -> dict[str, Held]:
    """Return the newest backup of each of the last `count` periods that have one."""
    newest: dict[str, Held] = {}
    for backup in believed:
        name = period(backup.created_at.astimezone(UTC))
        if len(newest) >= count and name not in newest:
            break
        newest.setdefault(name, backup)
    return newest


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _week(at: datetime) -> str:
    year, week, _ = at.isocalendar()
    return f"{year}-W{week:02d}"


def _month(at: datetime) -> str:
    return f"{at:%Y-%m}"


def _year(at: datetime) -> str:
    return f"{at:%Y}"


def _why_it_goes(policy: Policy) -> str:
    kept = [
        f"{count} {unit}"
        for count, unit in ((policy.daily, "daily"), (policy.weekly, "weekly"), (policy.monthly, "monthly"), (policy.yearly, "yearly"))
        if count
    ]
    return f"older than {policy.days} days" + (f", and not one of the {', '.join(kept)} ones to keep" if kept else "")
