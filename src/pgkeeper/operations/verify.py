"""Check that a backup is what its manifest says: every byte (`checksum`), everything in it (`contents`), or by restoring it (`restore`)."""

import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from pgkeeper import __version__
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import BackupGoneError, ErrorInfo, IntegrityError, RefusedError, UsageError, is_damage
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.model.proof import Level, Proof, at_least
from pgkeeper.operations.failed_proof import RestoreDiffersError, examined, found_by, not_decided
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.instead import with_what_instead
from pgkeeper.operations.off_site import note_verified
from pgkeeper.operations.places import LATEST, copies_in, downloads, newest_by_database
from pgkeeper.operations.prove import Evidence, prove
from pgkeeper.operations.read_contents import content_problems
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.operations.tell_owner import tell_check_failed
from pgkeeper.operations.together import Together
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy

_CORES = len(os.sched_getaffinity(0))


class VerifyRequest(Message):
    """Which backups to check: one by its id, or with `latest` the newest of each of `databases` (none: of every database).

    `source` is the store whose copies are checked, `host` another host whose copies off site are meant.

    `if_older_than`: with `latest` only databases of which no backup passed a check of this level (or a deeper one) since then; with an
    id only when that backup did not. `wait`: how long proofs (level `restore`) wait for others on this host.
    """

    backup: str = LATEST
    source: StoreName = "local"
    host: str = ""
    databases: tuple[str, ...] = ()
    level: Level = "contents"
    if_older_than: timedelta | None = None
    wait: timedelta = timedelta()


class VerifyOutcome(Message):
    """How it went with one backup; `problems` names what differs, a line each.

    `failed`: it is damaged, or what was restored differed. `undecided`: the check could not be made to its end, which says nothing about
    the backup.

    For level `restore`: `phases` maps each phase to its seconds, `recovery_seconds` is what the restore alone took, `server_version` the
    PostgreSQL it went into, `warnings` what was different there without costing anything.
    """

    database: str
    backup_id: str
    level: Level
    status: Literal["done", "skipped", "failed", "undecided"]
    seconds: float = 0.0
    size_bytes: int | None = None
    tables: int | None = None
    rows: int | None = None
    problems: tuple[str, ...] = ()
    phases: dict[str, float] = Field(default_factory=dict)
    recovery_seconds: float | None = None
    server_version: str | None = None
    warnings: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class VerifyReport(Message):
    """How it went with every backup; `warnings` speak of the run as a whole."""

    outcomes: tuple[VerifyOutcome, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when every backup is whole, else the status all failures share, or 1 when they differ."""
        return shared_status(outcome.error for outcome in self.outcomes)


def verify(request: VerifyRequest, settings: Settings, progress: Progress) -> VerifyReport:
    """Check the backups `request` names, each on its own; what is wrong with them is in the report.

    The owner is told about failures, but not about a backup that was removed meanwhile. Raises UsageError when there is nothing to check,
    and BusyError when proofs are at work already.
    """
    chosen, now = _chosen(request, settings)
    # Proofs fill disks and cores: one run of them at a time.
    alone = exclusive(settings.state_dir, "prove", "a proof", request.wait) if request.level == "restore" and now else nullcontext()
    with alone:
        checked = _check(now, request, settings, progress)
    done = dict(zip(now, checked, strict=True))
    report = VerifyReport(outcomes=tuple(done.get(backup) or _skipped(backup, request) for backup in chosen))
    # One that was removed meanwhile is nothing to be alarmed about.
    failures = {
        outcome.backup_id: outcome.error
        for outcome in checked
        if outcome.error is not None and outcome.error.exit_status != BackupGoneError.exit_status
    }
    return report.model_copy(update={"warnings": tell_check_failed(failures, settings)}) if failures else report


def due(request: VerifyRequest, settings: Settings) -> tuple[Copy, ...]:
    """Return the backups that `verify` would check now. Changes nothing. Raises UsageError when there is nothing to check."""
    return _chosen(request, settings)[1]


def _chosen(request: VerifyRequest, settings: Settings) -> tuple[tuple[Copy, ...], tuple[Copy, ...]]:
    """Return the backups that the request names, and those of them whose time has come."""
    store = copies_in(settings, request.source, request.host)
    if request.backup != LATEST:
        found = store.find(request.backup)
        return (found,), () if _checked_since([found], request) else (found,)
    backups = store.backups()
    newest = newest_by_database(backups)
    known = {backup.database for backup in newest.values()}
    missing = [name for name in request.databases if name not in known]
    if missing or not newest:
        whose = f" of {', '.join(missing)}" if missing else ""
        raise UsageError(f"there is no backup{whose} in {store.where}", "", "make one with `pgkeeper backup`")
    chosen = {place: backup for place, backup in newest.items() if not request.databases or backup.database in request.databases}
    kin: dict[tuple[str, str], list[Copy]] = {place: [] for place in chosen}
    for other in backups:
        if (other.cluster, other.database) in kin:
            kin[other.cluster, other.database].append(other)
    due = [backup for place, backup in chosen.items() if not _checked_since(kin[place], request)]
    return tuple(chosen.values()), tuple(due)


def _checked_since(backups: Iterable[Copy], request: VerifyRequest) -> bool:
    if request.if_older_than is None:
        return False
    now = datetime.now(UTC)
    since, deep_enough = now - request.if_older_than, at_least(request.level)
    return any(since <= at <= now for backup in backups for level, at in backup.verified().items() if level in deep_enough)


def _check(backups: Sequence[Copy], request: VerifyRequest, settings: Settings, progress: Progress) -> list[VerifyOutcome]:
    stop = threading.Event()
    if request.level == "restore" and len(backups) > 1 and _CORES > 1:
        return _side_by_side(backups, request, settings, progress, stop)
    return [_one(backup, request, settings, progress, stop) for backup in backups]


def _side_by_side(
    backups: Sequence[Copy], request: VerifyRequest, settings: Settings, progress: Progress, stop: threading.Event
) -> list[VerifyOutcome]:
    """Check several backups at once, as many as there are cores. Whatever ends us ends them, too."""
    together = Together(progress, len(backups))
    with ThreadPoolExecutor(max_workers=min(_CORES, len(backups))) as pool:
        work = [pool.submit(_one, backup, request, settings, together.part(backup.database), stop) for backup in backups]
        try:
            return [each.result() for each in work]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _skipped(backup: Copy, request: VerifyRequest) -> VerifyOutcome:
    return VerifyOutcome(database=backup.database, backup_id=backup.backup_id, level=request.level, status="skipped")


def _one(backup: Copy, request: VerifyRequest, settings: Settings, progress: Progress, stop: threading.Event) -> VerifyOutcome:
    began, started = time.monotonic(), datetime.now(UTC)
    outcome = VerifyOutcome(database=backup.database, backup_id=backup.backup_id, level=request.level, status="done")
    progress.phase(f"verify {backup.backup_id}")
    problems: tuple[str, ...] = ()
    evidence: Evidence | None = None
    # What is wrong before anything is restored, is wrong with bytes or contents.
    depth: Level = "contents" if request.level == "restore" else request.level
    try:
        with backup.being_read():
            if request.level == "checksum":
                backup.check(progress)
            manifest = _manifest(backup, request.level)
            if request.level == "contents":
                problems = content_problems(backup, backup.manifest(), progress)
            elif request.level == "restore":
                with backup.at_hand(downloads(settings), progress) as at_hand:
                    fetched, depth = time.monotonic() - began, request.level
                    evidence = _proven(at_hand, settings, progress, stop)
                if request.source != "local":
                    evidence = evidence.after_fetching(fetched)
            if problems:
                raise IntegrityError(f"backup {backup.backup_id} is not what its manifest says", "; ".join(problems), "use another backup")
            backup.keep_proof(
                Proof(
                    backup_id=backup.backup_id,
                    manifest_sha256=backup.manifest_sha256(),
                    level=request.level,
                    made_by=f"pgkeeper {__version__}",
                    started_at=started,
                    finished_at=datetime.now(UTC),
                    seconds=round(time.monotonic() - began, 3),
                    tables=len(manifest.contents.tables) if manifest else None,
                    rows=manifest.contents.rows if manifest else None,
                    **(vars(evidence) if evidence else {}),
                )
            )
    except Exception as error:  # noqa: BLE001 - one backup's damage never hides another's
        info = as_error_info(error, f"check of {backup.backup_id}")
        failed = is_damage(error)
        if failed:
            _remember_damage(backup, depth, error)
            if not request.host and not isinstance(error, RestoreDiffersError):
                info = with_what_instead(info, backup, settings, request.source)
        elif not isinstance(error, BackupGoneError):
            info = not_decided(info, backup.backup_id, request.level)
        log.error("verify failed" if failed else "verify undecided", backup_id=backup.backup_id, level=request.level, error=str(info))
        return outcome.model_copy(
            update={
                "status": "failed" if failed else "undecided",
                "problems": problems,
                "error": info,
                "seconds": time.monotonic() - began,
            }
        )
    log.info("verify done", backup_id=backup.backup_id, level=request.level)
    if request.source != "local" and not request.host:
        note_verified(settings, request.source, backup, request.level, datetime.now(UTC))
    return outcome.model_copy(
        update={
            "seconds": time.monotonic() - began,
            "size_bytes": manifest.size_bytes if manifest else None,
            "tables": len(manifest.contents.tables) if manifest else None,
            "rows": manifest.contents.rows if manifest else None,
            **(vars(evidence) if evidence else {}),
        }
    )


def _proven(at_hand: Copy, settings: Settings, progress: Progress, stop: threading.Event) -> Evidence:
    """Prove a copy. Raises what `prove` does, or what reading the copy again says about the failure."""
    manifest = at_hand.manifest()
    try:
        return prove(at_hand, manifest, settings, progress, stop.is_set)
    except Exception as error:
        if stop.is_set():
            raise
        said = examined(error, at_hand, manifest, progress)
        if said is error:
            raise
        raise said from error


def _manifest(backup: Copy, level: Level) -> Manifest | None:
    """Read the manifest; None for a checksum of a copy that this host can't decrypt."""
    try:
        return backup.manifest()
    except RefusedError:
        if level != "checksum":
            raise
        return None


def _remember_damage(backup: Copy, level: Level, error: Exception) -> None:
    """From now on the backup is not proven, and counts for nothing unless its contents are right.

    Where that can't be written down, the log and the report still say it.
    """
    found = found_by(error, level)
    with suppress(OSError, IntegrityError):
        backup.keep_damage(found.level, str(error), datetime.now(UTC), contents_right=found.contents_right)
