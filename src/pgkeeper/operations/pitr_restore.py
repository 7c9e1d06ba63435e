"""Recover the cluster to a moment beside production, which is not touched: files, log, and a server of its own to look into them."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from pydantic import model_validator

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import OperationFailed, PgkeeperError, UsageError
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName
from pgkeeper.model.shell import quoted
from pgkeeper.operations.asked_before import require_same
from pgkeeper.operations.pitr_request import RecoveryWish, plan_wish, understand
from pgkeeper.operations.recovered_places import remember_place
from pgkeeper.operations.recovery import Recovery, size_of, target_told
from pgkeeper.operations.reports import Message
from pgkeeper.operations.side_place import (
    SideMarker,
    claim,
    mark,
    marker_of,
    productions_places,
    remove,
    require_place,
    side_cluster,
)
from pgkeeper.postgres.data_directory import major_of
from pgkeeper.postgres.export import export_table
from pgkeeper.postgres.side_cluster import PORT, SideCluster
from pgkeeper.settings import Settings

_ID = "%Y%m%dT%H%M%S"
_DIGITS = 12


class PitrRestoreRequest(Message):
    """A recovery beside production. `to_dir` is made where nothing is said; `exports` are tables of `database`, as `schema.table`.

    Raises UsageError (exit status 2) for `exports` without a `database`, and for a relative `to_dir`.

    A `request_id` makes the request repeatable: while the side cluster that it made is there, nothing more is done. It stands for one
    `to_dir`, if any is said.
    """

    wish: RecoveryWish
    to_dir: Path | None = None
    exports: tuple[str, ...] = ()
    database: str | None = None
    request_id: str | None = None
    wait: timedelta = timedelta()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.exports and not self.database:
            raise UsageError("tables are copied out of one database", "no database is named", "say in which database the tables are")
        if self.to_dir is not None and not self.to_dir.is_absolute():
            raise UsageError("the directory to recover into must be an absolute path", str(self.to_dir), "begin it with /")
        return self


class PitrRestorePlan(Message):
    """What a recovery would do. `target` says in words to which moment, in UTC and in production's time zone.

    `would_change` is False when the request was done before, and what it made is still there; `reason` says so. `size_bytes` is then None.
    """

    target: str
    repository: RepositoryName
    backup: str
    timeline: int
    directory: Path
    would_change: bool = True
    reason: str
    size_bytes: int | None
    warnings: tuple[str, ...] = ()


class PitrRestoreReport(Message):
    """What was recovered, and how to reach it. `timeline` is the one it was recovered on, `new_timeline` its own since then.

    `exports` are files with the tables that were asked for. `phases` maps each phase to its seconds. `changed` is False when the request
    of that `request_id` was done before; the rest is then what is known of that time.
    """

    target: str
    repository: RepositoryName
    backup: str
    timeline: int
    new_timeline: int
    directory: Path
    host: str
    port: int
    exports: tuple[Path, ...] = ()
    changed: bool = True
    recovered_at: datetime
    seconds: float
    phases: dict[str, float]
    warnings: tuple[str, ...] = ()
    request_id: str | None = None


def plan_pitr_restore(request: PitrRestoreRequest, settings: Settings, progress: Progress) -> PitrRestorePlan:
    """Return what `pitr_restore` would do now. Raises PgkeeperError where it would refuse at once.

    Writes nothing; but for a moment that has only just passed production ends the segment that it writes, and its log is waited for.
    """
    directory = _directory(request, settings, datetime.now(UTC))
    understood = understand(request.wish, settings)
    asked = understood.in_words(request.exports, request.database)
    before = _done_before(request, asked, directory)
    if before is not None:
        missing = _exports_missing(request, before)
        tables = f"; {', '.join(request.exports)} would be copied out of it" if missing else ""
        return PitrRestorePlan(
            target=before.target,
            repository=before.repository,
            backup=before.backup,
            timeline=before.timeline,
            directory=directory,
            would_change=missing,
            reason=f"done before: {directory} holds the cluster, recovered to {before.target}{tables}",
            size_bytes=None,
        )
    planned = plan_wish(understood, settings, progress)
    require_place(directory, productions_places(settings), size_of(planned))
    return PitrRestorePlan(
        target=target_told(planned),
        repository=request.wish.source,
        backup=planned.plan.backup,
        timeline=planned.plan.timeline,
        directory=directory,
        reason=f"the cluster would be recovered to {target_told(planned)}, beside production, into {directory}",
        size_bytes=size_of(planned),
        warnings=planned.warnings,
    )


def pitr_restore(request: PitrRestoreRequest, settings: Settings, progress: Progress) -> PitrRestoreReport:
    """Recover into a directory of its own, and leave the server running there.

    Raises PgkeeperError: UsageError or RefusedError before anything is written, OperationFailed when recovery fails; what was written then
    stays for a look, and goes with the next recovery into the same directory. Interrupted by a signal it removes what it has written.
    """
    began = time.monotonic()
    at = datetime.now(UTC)
    directory = _directory(request, settings, at)
    understood = understand(request.wish, settings)
    asked = understood.in_words(request.exports, request.database)
    with exclusive(settings.state_dir, f"side {directory}", f"a recovery into {directory}", request.wait):
        before = _done_before(request, asked, directory)
        if before is not None and _exports_missing(request, before):
            return _report(_export(request, directory, before), directory, began)
        if before is not None:
            return _report(before, directory, began, changed=False, warnings=_warnings_of_before(directory))
        planned = plan_wish(understood, settings, progress)
        marker = SideMarker(
            state="begun", system_identifier=planned.contents.info.system_identifier, made_at=at, target=target_told(planned),
            request_id=request.request_id, asked=asked,
            repository=request.wish.source, backup=planned.plan.backup, timeline=planned.plan.timeline,
        )  # fmt: skip
        require_place(directory, productions_places(settings), size_of(planned))
        remember_place(settings, directory)
        cluster = claim(directory, marker, productions_places(settings), size_of(planned))
        recovery = Recovery(planned, cluster, settings, progress)
        with _told_where_it_stays(cluster):
            found = recovery.beside(directory)
        marker = marker.model_copy(update={"state": "recovered", "new_timeline": found.timeline, "recovered_at": datetime.now(UTC)})
        mark(directory, marker)
        if request.exports:
            with recovery.phase("copy tables out", "export"):
                marker = _export(request, directory, marker)
    log.info("cluster recovered", directory=str(directory), target=marker.target, backup=planned.plan.backup)
    return _report(marker, directory, began, phases=recovery.phases, warnings=tuple(recovery.warnings))


@contextmanager
def _told_where_it_stays(cluster: SideCluster) -> Iterator[None]:
    """Let an error say where that lies which was written; who interrupts us is told nothing any more, and so it is removed."""
    try:
        yield
    except PgkeeperError as error:
        stays = f"what was written stays in {cluster.directory}: `pgkeeper pitr stop {quoted(cluster.directory)} --remove` removes it"
        raise error.hinting(stays) from error
    except KeyboardInterrupt:
        with suppress(OperationFailed):
            remove(cluster)
        raise


def _report(
    marker: SideMarker,
    directory: Path,
    began: float,
    *,
    changed: bool = True,
    phases: dict[str, float] | None = None,
    warnings: tuple[str, ...] = (),
) -> PitrRestoreReport:
    return PitrRestoreReport(
        target=marker.target,
        repository=marker.repository,
        backup=marker.backup,
        timeline=marker.timeline,
        new_timeline=marker.new_timeline,
        directory=directory,
        host=str(directory),
        port=PORT,
        exports=marker.exports or (),
        changed=changed,
        recovered_at=marker.recovered_at or marker.made_at,
        seconds=round(time.monotonic() - began, 3) if changed else 0.0,
        phases=phases or {},
        warnings=warnings,
        request_id=marker.request_id,
    )


def _directory(request: PitrRestoreRequest, settings: Settings, at: datetime) -> Path:
    """Return where the side cluster goes. That of a request id is always the same, so that its lock is the request's, too."""
    if request.to_dir is not None:
        return request.to_dir
    named = at.strftime(_ID)
    if request.request_id is not None:
        named = hashlib.sha256(request.request_id.encode()).hexdigest()[:_DIGITS]
    return settings.pitr_dir / f"{settings.pitr_stanza}-{named}"


def _done_before(request: PitrRestoreRequest, asked: str, directory: Path) -> SideMarker | None:
    """Return what is known of the side cluster that the same request made; None where there is none, or it was not finished.

    Raises RefusedError when the request was another one.
    """
    if request.request_id is None:
        return None
    marker = marker_of(directory)
    if marker is None or marker.state != "recovered" or marker.request_id != request.request_id:
        return None
    require_same(request.request_id, marker.asked, asked)
    return marker


def _exports_missing(request: PitrRestoreRequest, before: SideMarker) -> bool:
    return bool(request.exports) and before.exports is None


def _export(request: PitrRestoreRequest, directory: Path, marker: SideMarker) -> SideMarker:
    """Copy the tables out that are asked for; return what the directory says of itself then."""
    cluster = side_cluster(directory)
    assert request.database is not None
    try:
        exports = tuple(
            export_table(cluster.server, major_of(cluster.data), request.database, table, directory / "export") for table in request.exports
        )
    except PgkeeperError as error:
        there = f"the cluster is recovered all the same, in {directory}: `pgkeeper pitr stop {quoted(directory)} --remove` ends it"
        raise error.hinting(there) from error
    marker = marker.model_copy(update={"exports": exports})
    mark(directory, marker)
    return marker


def _warnings_of_before(directory: Path) -> tuple[str, ...]:
    if side_cluster(directory).running:
        return ("this request was done before; what was recovered then is still there",)
    hint = f"`pgkeeper pitr start {quoted(directory)}` starts it again; `pgkeeper pitr stop {quoted(directory)} --remove` removes it"
    return (f"this request was done before, but the server in {directory} was stopped since; {hint}",)
