"""Whether the owner may sleep: from facts about databases, backups and the host to what needs somebody, a pure decision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.retention import FRESH
from pgkeeper.model.shell import quoted

PROOF_AGE = timedelta(days=8)
"""A database is proven once a week; a day later it is overdue."""
DISK_FULL_PERCENT = 85.0
"""From then on the owner should make room (the same mark as `pgkeeper doctor` uses)."""


@dataclass(frozen=True)
class BackupFacts:
    """One backup. `snapshot_at` is the state it holds, None while it can't be read; then `problem` says why, and `advice` what to do.

    `difference` is what a restore of it showed to differ though its contents are right.
    `proven_at` is when it was last restored and compared, `recovery_seconds` how long a restore without comparing took then.
    """

    backup_id: str
    created_at: datetime
    snapshot_at: datetime | None = None
    problem: str = ""
    advice: str = ""
    difference: str = ""
    pin_problem: str = ""
    proven_at: datetime | None = None
    recovery_seconds: float | None = None


@dataclass(frozen=True)
class DatabaseFacts:
    """One database of one cluster with its backups. `wanted` is False when the server is known not to have it, or settings leave it out.

    `expirable` counts the backups that expiry would remove now if nothing held it back.
    """

    cluster: str
    database: str
    wanted: bool
    backups: tuple[BackupFacts, ...] = ()
    expirable: int = 0


@dataclass(frozen=True)
class OffSiteFacts:
    """A store off site, as this host knows it: how many backups are not there yet, since when the oldest of them waits.

    `failing_since` is when copying began to fail, None while it succeeds, and `problem` why. `foreign` are backups whose copies in this
    host's place it did not send.
    """

    store: str
    waiting: int = 0
    waiting_since: datetime | None = None
    failing_since: datetime | None = None
    problem: str = ""
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True)
class DetachedFacts:
    """A repository of point-in-time recovery that is detached; `since` is None where that is not known."""

    repository: str
    since: datetime | None


@dataclass(frozen=True)
class LeftFacts:
    """What a recovery has left on the host under a `name`: a recovered cluster (`running` or not), or files kept by a replacement.

    One that is not `known` lies where recovered clusters do, and has nothing that says pgkeeper made it.
    """

    name: str
    recovered: bool
    running: bool
    since: datetime | None
    known: bool = True


@dataclass(frozen=True)
class HostFacts:
    """Everything `judge` looks at. `server_problem`, `store_problem`: why one of them can't be read, with the next step.

    `standby`: the server is one, and its primary is backed up instead. `held_back`: why expiry may remove nothing at all.
    `archiving_problem`: why the cluster's log gets into no repository, though it should. `interrupted`: what a replacement of the cluster
    left that nobody is at any more. `copies` are databases that pgkeeper made as copies, which nobody backs up. `left`: recovered
    clusters and kept directories.
    """

    databases: tuple[DatabaseFacts, ...]
    disk_used_percent: float
    owner_is_told: bool
    server_problem: str = ""
    store_problem: str = ""
    standby: bool = False
    held_back: str = ""
    off_site: tuple[OffSiteFacts, ...] = ()
    detached: tuple[DetachedFacts, ...] = ()
    archiving_problem: str = ""
    interrupted: str = ""
    copies: tuple[str, ...] = ()
    left: tuple[LeftFacts, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something to know. `problem` needs the owner, `remark` does not; `database` is empty where it is the host's."""

    level: Literal["problem", "remark"]
    database: str
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Recoverable:
    """What can be had back of one database: the state of `recoverable_to`, as the newest readable backup holds it; None where none does.

    `proven_at` is the newest proof over all its backups, and `recovery_seconds` the recovery time that was measured then.
    """

    cluster: str
    database: str
    wanted: bool
    backups: int
    backup_id: str | None
    recoverable_to: datetime | None
    proven_at: datetime | None
    recovery_seconds: float | None


@dataclass(frozen=True)
class Judgement:
    """What can be had back, and what there is to say, problems first."""

    databases: tuple[Recoverable, ...]
    findings: tuple[Finding, ...]


def judge(facts: HostFacts, now: datetime) -> Judgement:
    """Return what can be had back at `now`, and what needs the owner."""
    databases = tuple(_recoverable(database, now) for database in facts.databases)
    findings = [*_of_host(facts), *_of_stores(facts, now)]
    for known, recoverable in zip(facts.databases, databases, strict=True):
        findings += _of_database(known, recoverable, now)
    findings.sort(key=lambda finding: finding.level != "problem")
    return Judgement(databases, tuple(findings))


def _recoverable(facts: DatabaseFacts, now: datetime) -> Recoverable:
    readable = [backup for backup in facts.backups if backup.snapshot_at is not None and not backup.problem and backup.created_at <= now]
    newest = max(readable, key=lambda backup: (backup.created_at, backup.backup_id), default=None)
    # A proof from the future says nothing about today.
    proofs = [(backup.proven_at, backup) for backup in facts.backups if backup.proven_at is not None and backup.proven_at <= now]
    proven_at, proven = max(proofs, key=lambda proof: (proof[0], proof[1].backup_id), default=(None, None))
    return Recoverable(
        cluster=facts.cluster,
        database=facts.database,
        wanted=facts.wanted,
        backups=len(facts.backups),
        backup_id=newest.backup_id if newest else None,
        recoverable_to=newest.snapshot_at if newest else None,
        proven_at=proven_at,
        recovery_seconds=proven.recovery_seconds if proven else None,
    )


def _of_host(facts: HostFacts) -> Iterator[Finding]:
    if facts.store_problem:
        yield Finding("problem", "", f"the backups cannot be read: {facts.store_problem}")
    if facts.interrupted:
        yield Finding("problem", "", facts.interrupted, "`pgkeeper pitr resume` settles it, or says what does")
    if facts.server_problem:
        yield Finding("problem", "", f"PostgreSQL cannot be asked: {facts.server_problem}", "what is said of databases is what backups say")
    elif not facts.databases and not facts.standby and not facts.store_problem:
        yield Finding("remark", "", "there is no database to back up")
    if facts.disk_used_percent > DISK_FULL_PERCENT:
        yield Finding(
            "problem",
            "",
            f"the disk of the backups is {facts.disk_used_percent:.0f} % full",
            "free some space; `pgkeeper expire --dry-run` says why each backup is kept",
        )
    if not facts.owner_is_told:
        yield Finding("problem", "", "nobody is told when a backup fails", "set BACKUP_NOTIFY_URLS, then try `pgkeeper notify test`")
    waiting = sum(database.expirable for database in facts.databases)
    if facts.held_back and waiting:
        hint = "if the clock is right, nothing needs doing: it goes on by itself"
        yield Finding("problem", "", f"expiry holds back {count(waiting, 'backup')}: {facts.held_back}", hint)
    for copy in facts.copies:
        hint = f"keep it as a database of your own with `pgkeeper keep {quoted(copy)}`"
        yield Finding("remark", copy, "a copy that pgkeeper made, so it is not backed up", hint)
    if facts.standby:
        yield Finding("remark", "", "this server is a standby: its primary is backed up (BACKUP_FROM_STANDBY=true backs it up too)")


def _of_stores(facts: HostFacts, now: datetime) -> Iterator[Finding]:
    for store in facts.off_site:
        hint = "`pgkeeper doctor` looks for the cause, `pgkeeper sync` catches up"
        if store.failing_since is not None:
            age = format_duration(max(0.0, (now - store.failing_since).total_seconds()))
            waiting = f"; {count(store.waiting, 'backup')} not there" if store.waiting else ""
            yield Finding("problem", "", f"copies to {store.store} fail since {age}{waiting}: {store.problem}", hint)
        elif store.waiting_since is not None and now - store.waiting_since > FRESH:
            age = format_duration((now - store.waiting_since).total_seconds())
            yield Finding("problem", "", f"{count(store.waiting, 'backup')} not in {store.store} yet, the oldest since {age}", hint)
        if store.foreign:
            foreign = count(len(store.foreign), "backup")
            text = f"{foreign} in this host's place in {store.store} that it did not send, the newest {store.foreign[0]}"
            yield Finding("problem", "", text, "is there a clone of this machine? `pgkeeper sync` says what to do")
    if facts.archiving_problem:
        text = f"not every moment can be brought back: {facts.archiving_problem}"
        yield Finding("problem", "", text, "`pgkeeper pitr check` says more, and when the disk is full")
    for repository in facts.detached:
        since = f" since {format_duration(max(0.0, (now - repository.since).total_seconds()))}" if repository.since else ""
        text = f"repository {repository.repository} is detached{since}: no log is archived there"
        yield Finding("problem", "", text, f"when it can be reached again: `pgkeeper pitr attach {repository.repository}`")
    for left in facts.left:
        since = f" for {format_duration(max(0.0, (now - left.since).total_seconds()))}" if left.since else ""
        kind = (
            f"a recovered cluster, {'running' if left.running else 'stopped'}" if left.recovered else "kept by a replacement of the cluster"
        )
        hint = f"when nobody needs it any more: `pgkeeper pitr remove {quoted(left.name)} --confirm {quoted(left.name)}`"
        if not left.known:
            kind, hint = "it does not say what it is", "look into it; if it may go, remove it by hand: `pgkeeper pitr list` shows its path"
        yield Finding("remark", "", f"{left.name} is there{since}: {kind}", hint)


def _of_database(facts: DatabaseFacts, found: Recoverable, now: datetime) -> Iterator[Finding]:
    name = facts.database
    for backup in facts.backups:
        if backup.problem:
            yield Finding("problem", name, backup.problem, backup.advice)
        if backup.difference:
            yield Finding("problem", name, backup.difference, backup.advice)
        if backup.created_at > now:
            hint = f"was the clock wrong? Then `pgkeeper delete {backup.backup_id}`"
            yield Finding("problem", name, f"backup {backup.backup_id} claims to be from the future", hint)
        if backup.pin_problem:
            yield Finding("problem", name, backup.pin_problem)
    if not facts.wanted:
        text = f"{count(len(facts.backups), 'backup')} of a database that is not backed up any more: nothing of it expires"
        yield Finding("remark", name, text, f"`pgkeeper list --database {quoted(name)}` shows what there is; delete what nobody needs")
        return
    if found.recoverable_to is None:
        yield Finding("problem", name, "there is no good backup of it", f"make one with {_command('backup', name)}")
        return
    newest = max(backup.created_at for backup in facts.backups if backup.backup_id == found.backup_id)
    if now - newest > FRESH:
        held = f", and expiry removes nothing of it ({facts.expirable} would go)" if facts.expirable else ""
        age = format_duration((now - newest).total_seconds())
        yield Finding("problem", name, f"its last good backup is {age} old{held}", f"make one with {_command('backup', name)}")
    yield from _of_proofs(facts.database, found, now)


def _of_proofs(name: str, found: Recoverable, now: datetime) -> Iterator[Finding]:
    hint = f"prove one with {_command('verify', name, '--level restore')}"
    if found.proven_at is None:
        yield Finding("problem", name, "no backup of it was ever proven by a restore", hint)
    elif now - found.proven_at > PROOF_AGE:
        age = format_duration((now - found.proven_at).total_seconds())
        yield Finding("problem", name, f"its last proof by a restore is {age} old", hint)


def _command(verb: str, database: str, *more: str) -> str:
    return f"`{' '.join(('pgkeeper', verb, *more, '--database', quoted(database)))}`"


def headline(problems: Sequence[Finding]) -> str:
    """Return the answer in one line."""
    if not problems:
        return "All is well: nothing needs you."
    return f"{count(len(problems), 'thing')} {'needs' if len(problems) == 1 else 'need'} you."
