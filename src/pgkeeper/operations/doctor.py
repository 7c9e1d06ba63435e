"""Look for everything that would keep a backup or a restore from working, before it does."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pgkeeper.host.disk_space import used_percent
from pgkeeper.host.sandbox import require_sandbox
from pgkeeper.model.counts import count
from pgkeeper.model.damage import KEEP_IT
from pgkeeper.model.errors import PgkeeperError, RefusedError
from pgkeeper.model.sizes import format_size
from pgkeeper.operations.examine_off_site import examine_off_site
from pgkeeper.operations.examine_pitr import examine_pitr
from pgkeeper.operations.findings import Finding, problem_found
from pgkeeper.operations.listing import examine_backups
from pgkeeper.operations.places import catalog, local_store, server
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.facts import ClusterIdentity, databases_to_back_up, identify, list_databases
from pgkeeper.postgres.load.logins import require_login
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import CONFLICT_HINT, Session, require_superuser, told
from pgkeeper.settings import DEFAULT_FILE, Settings

_CONFLICTS = ("hot_standby_feedback", "max_standby_streaming_delay", "max_standby_archive_delay")
_PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore", "psql")


class DoctorReport(Message):
    """Everything that was looked at."""

    findings: tuple[Finding, ...]

    @property
    def exit_status(self) -> int:
        """Return 1 when there is a problem, else 0."""
        return int(any(finding.level == "problem" for finding in self.findings))


def doctor(settings: Settings) -> DoctorReport:
    """Look at settings, places, programs, server, backups, catalog, and stores off site.

    Changes nothing but for a file written and removed in each place, an object in each bucket, and a catalog begun where there is none, or
    a damaged one.
    """
    about_cluster: list[Finding] = []
    wanted: set[tuple[str, str]] | None = None
    try:
        with server(settings).connect_maintenance() as session, told("looking at the cluster"):
            about_cluster.extend(_cluster(session, settings))
            label = identify(session).label
            wanted = {(label, name) for name in settings.databases or databases_to_back_up(session)}
    except PgkeeperError as error:
        about_cluster.append(problem_found("server", error))
    findings = [*_settings(settings), *_places(settings), *_room(settings, wanted), _sandbox(settings), *about_cluster]
    findings.extend(_backups(settings))
    findings.extend(_catalog(settings))
    findings.extend(examine_off_site(settings))
    findings.extend(examine_pitr(settings))
    return DoctorReport(findings=tuple(findings))


def _tried(subject: str, work: Callable[[], str]) -> Finding:
    try:
        return Finding(level="ok", subject=subject, text=work())
    except PgkeeperError as error:
        return problem_found(subject, error)


def _settings(settings: Settings) -> Iterator[Finding]:
    for warning in settings.warnings:
        yield Finding(level="warning", subject="settings", text=warning, hint="remove or correct it")
    path = Path(os.environ.get("PGKEEPER_ENV_FILE") or DEFAULT_FILE)
    if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding(level="warning", subject="settings", text=f"{path} can be read by others", hint=f"chmod 600 {path}")
    if not settings.notify_urls:
        hint = "set BACKUP_NOTIFY_URLS, then try `pgkeeper notify test`"
        yield Finding(level="warning", subject="alerts", text="nobody is told when a backup fails", hint=hint)
    else:
        yield Finding(
            level="ok", subject="alerts", text=f"{count(len(settings.notify_urls), 'address is', 'addresses are')} told when a backup fails"
        )


def _places(settings: Settings) -> Iterator[Finding]:
    for name, path in (("BACKUP_DIR", settings.dir), ("BACKUP_STATE_DIR", settings.state_dir), ("BACKUP_LOG_DIR", settings.log_dir)):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = path / f".doctor-{os.getpid()}"
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
        except OSError as error:
            hint = f"{path} must exist, belong to postgres and have space"
            yield Finding(level="problem", subject=name, text=f"cannot write {path}: {error.strerror}", hint=hint)
            continue
        usage = shutil.disk_usage(path)
        used = used_percent(path)
        text = f"{path}: {format_size(usage.free)} free, {used:.0f} % of the disk used"
        # 85 % is the strategy's disk_space_low.
        level: Literal["ok", "warning"] = "warning" if used > 85 else "ok"
        yield Finding(level=level, subject=name, text=text, hint="free some space" if level == "warning" else "")
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding(level="warning", subject=name, text=f"{path} is open to others", hint=f"chmod 700 {path}")


def _room(settings: Settings, wanted: set[tuple[str, str]] | None) -> Iterator[Finding]:
    """Tell where the next backup of all databases will not fit: what the newest of each takes is what it needs again.

    Only databases that are `wanted`, by their cluster's label and their name, need room; all do where the server can't be asked (None).
    """
    newest: dict[tuple[str, str], int] = {}
    try:
        for backup in local_store(settings).backups():
            place = (backup.cluster, backup.database)
            if place not in newest and (wanted is None or place in wanted) and backup.readable():
                newest[place] = backup.manifest().size_bytes
        free = shutil.disk_usage(settings.dir).free
    except (PgkeeperError, OSError):
        # What can't be read or written is said elsewhere.
        return
    needed = sum(newest.values())
    if free < needed:
        text = f"{format_size(free)} are free in {settings.dir}, and the last backups of all databases took {format_size(needed)}"
        hint = "free some space; `pgkeeper expire --dry-run` says why each backup is kept"
        yield Finding(level="warning", subject="BACKUP_DIR", text=text, hint=hint)


def _sandbox(settings: Settings) -> Finding:
    try:
        require_sandbox()
    except RefusedError as error:
        text = f"backups cannot be proven (verify --level restore): {error.what}: {error.why}"
        return Finding(level="warning", subject="proofs", text=text, hint=error.hint)
    return Finding(level="ok", subject="proofs", text=f"backups can be restored in a sandbox, in {settings.proof_dir}")


def _cluster(session: Session, settings: Settings) -> Iterator[Finding]:
    try:
        require_superuser(session)
        cluster = identify(session)
    except PgkeeperError as error:
        yield problem_found("server", error)
        return
    yield Finding(level="ok", subject="server", text=f"PostgreSQL {cluster.server_version}, cluster {cluster.label}")
    if cluster.standby and not settings.from_standby:
        hint = "back up its primary, or set BACKUP_FROM_STANDBY=true"
        yield Finding(level="warning", subject="server", text="this is a standby: it is not backed up", hint=hint)
    if cluster.standby and settings.from_standby:
        yield _conflicts(session)
    for name in _PROGRAMS:
        yield _tried(name, lambda name=name: str(program(name, cluster.major)))  # type: ignore[misc]
    existing = list_databases(session)
    wanted = settings.databases or databases_to_back_up(session)
    missing = sorted(set(wanted) - set(existing))
    if missing:
        hint = f"correct BACKUP_DATABASES; there are: {', '.join(existing)}"
        yield Finding(level="problem", subject="databases", text=f"no such database: {', '.join(missing)}", hint=hint)
    else:
        yield Finding(level="ok", subject="databases", text=", ".join(wanted))
    yield _loader(session, cluster, settings)


def _conflicts(session: Session) -> Finding:
    """Tell whether the standby's replay may end a backup that takes long."""
    feedback, *delays = (session.execute("SELECT current_setting(%s) AS value", (name,)).fetchall()[0]["value"] for name in _CONFLICTS)
    if feedback == "on" or delays == ["-1", "-1"]:
        return Finding(level="ok", subject="standby", text="its replay waits for backups, or tells the primary what they read")
    text = f"its replay may end a backup: hot_standby_feedback is off, max_standby_streaming_delay {delays[0]}, _archive_delay {delays[1]}"
    return Finding(level="warning", subject="standby", text=text, hint=CONFLICT_HINT)


def _loader(session: Session, cluster: ClusterIdentity, settings: Settings) -> Finding:
    try:
        if not cluster.standby:
            require_login(server(settings), session, cluster.major)
    except RefusedError as error:
        return Finding(level="warning", subject="restore", text=f"restores would be refused: {error.what}", hint=error.hint)
    return Finding(level="ok", subject="restore", text="data can be loaded by an unprivileged role")


def _backups(settings: Settings) -> Iterator[Finding]:
    try:
        backups = examine_backups(settings)
    except PgkeeperError as error:
        yield problem_found("backups", error)
        return
    if not backups:
        yield Finding(level="warning", subject="backups", text="there is none yet", hint="make one with `pgkeeper backup`")
        return
    for backup in backups:
        if backup.problem:
            yield Finding(level="problem", subject="backups", text=backup.problem, hint=f"look at {backup.path}")
        if backup.difference:
            yield Finding(level="problem", subject="backups", text=backup.difference, hint=KEEP_IT)
        if backup.created_at > datetime.now(UTC):
            hint = f"was the clock wrong? Then `pgkeeper delete {backup.backup_id} --confirm DELETE`"
            yield Finding(level="warning", subject="backups", text=f"{backup.backup_id} claims to be from the future", hint=hint)
    yield Finding(level="ok", subject="backups", text=f"{len(backups)}, the newest {backups[0].backup_id}")


def _catalog(settings: Settings) -> Iterator[Finding]:
    """Never a problem: backups do without it."""
    from pgkeeper.catalog.health import look

    try:
        health = look(catalog(settings))
    except PgkeeperError as error:
        text = f"{error.what}: {error.why}; backups go on without it"
        yield Finding(level="warning", subject="catalog", text=text, hint=error.hint)
        return
    yield Finding(
        level="ok", subject="catalog", text=f"{health.place}: {count(health.jobs, 'job')}, {count(health.sizes, 'size')} of databases"
    )
    if health.system_identifier and health.system_identifier == _system_identifier(settings):
        hint = "give it another server in BACKUP_CATALOG_URL, or leave that out"
        yield Finding(level="warning", subject="catalog", text="it lives in the cluster that it protects", hint=hint)


def _system_identifier(settings: Settings) -> str | None:
    try:
        with server(settings).connect_maintenance() as session, told("looking at the cluster"):
            return identify(session).system_identifier
    except PgkeeperError:
        return None
