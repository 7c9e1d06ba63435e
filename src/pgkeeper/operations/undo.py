"""Undo a replacement: production gets its old database back, and keeps what was written since as a database of its own."""

import time
from datetime import UTC, datetime, timedelta

from pgkeeper.host.services import Services
from pgkeeper.model.errors import RefusedError, UsageError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement, after_name
from pgkeeper.operations.change_over import ChangeOver, require_free
from pgkeeper.operations.only_restore import only_restore
from pgkeeper.operations.places import outside_session, server
from pgkeeper.operations.replace import CONFIRMATION
from pgkeeper.operations.replacements import ReplacementJournal, replacements
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settle import settle
from pgkeeper.postgres.facts import database_size, identify
from pgkeeper.postgres.new_database import database_oid
from pgkeeper.postgres.server import Session, require_superuser, told
from pgkeeper.postgres.swap import keep_for_superusers, name_of
from pgkeeper.settings import Settings


class UndoRequest(Message):
    """Of which database the last replacement is undone; needed where several were replaced. `confirmation` must be the word RESTORE.

    A `request_id` makes the request repeatable: what was undone by it once stays as it is, whatever was replaced since.
    """

    database: str | None = None
    confirmation: str = ""
    request_id: str | None = None
    wait: timedelta = timedelta()


class UndoReport(Message):
    """What was undone: `database` holds again what it held before `undone`; what was written since is in `kept_as`.

    `changed` is False when the request of that `request_id` was done before; the rest is then what is known of that time.
    """

    replacement_id: str
    undone: str
    database: str
    kept_as: str
    changed: bool = True
    undone_at: datetime
    downtime_seconds: float
    seconds: float
    warnings: tuple[str, ...] = ()
    request_id: str | None = None


class UndoPlan(Message):
    """What undoing would do: `returning` would be called `database` again. Sizes in bytes: of it, and of what is there now.

    `replaced_at` and `age_seconds` tell since when something may have been written that would be put aside.
    """

    undone: str
    database: str
    returning: str
    would_change: bool
    reason: str
    size_bytes: int
    size_now_bytes: int
    replaced_at: datetime
    age_seconds: float


def plan_undo(request: UndoRequest, settings: Settings) -> UndoPlan:
    """Return what `undo` would do now. Changes nothing. Raises PgkeeperError where `undo` would refuse at once."""
    before = _done_before(request, settings)
    known = _undone_by(before, settings) if before else _last(request.database, settings)
    with outside_session(settings, known.database) as session, told("planning the undoing"):
        require_superuser(session)
        if before is None:
            _require_undoable(session, known, identify(session).system_identifier)
            _require_confirmed(request, known)
            require_free(session, known.database)
        returning = known.database if before else name_of(session, known.old_oid)
        reason = f"database {returning} would be called {known.database} again"
        if before is not None:
            reason = f"done before, as {before.replacement_id}; database {known.database} may have changed since"
        return UndoPlan(
            undone=known.replacement_id,
            database=known.database,
            returning=returning,
            would_change=before is None,
            reason=reason,
            size_bytes=database_size(session, returning) or 0,
            size_now_bytes=database_size(session, known.database) or 0,
            replaced_at=known.begun_at,
            age_seconds=(datetime.now(UTC) - known.begun_at).total_seconds(),
        )


def undo(request: UndoRequest, settings: Settings, progress: Progress) -> UndoReport:
    """Undo the last replacement, of one database where several were replaced.

    Raises UsageError when there is nothing to undo, RefusedError without the confirmation or when the old database is gone. Whatever goes
    wrong, production is up again.
    """
    began = time.monotonic()
    before = _done_before(request, settings)
    if before is not None:
        return _as_before(before, _undone_by(before, settings))
    known = _last(request.database, settings)
    with (
        outside_session(settings, known.database) as session,
        told("the undoing"),
        only_restore(session, settings, request.wait) as cluster,
    ):
        for said in settle(settings, progress):
            progress.note(said)
        before = _done_before(request, settings)
        if before is not None:
            return _as_before(before, _undone_by(before, settings))
        known = _last(request.database, settings)
        _require_undoable(session, known, cluster.system_identifier)
        _require_confirmed(request, known)
        Services(settings.app_services, settings.state_dir).require_helper()
        change = ChangeOver(session, server(settings), cluster, settings, progress, request.wait)
        require_free(session, known.database)
        at = datetime.now(UTC)
        journal = ReplacementJournal.begin(
            settings, at, known.database,
            kind="undo", system_identifier=cluster.system_identifier, backup_id=known.backup_id,
            old_oid=known.new_oid, old_name=after_name(known.database, at),
            new_oid=known.old_oid, new_name=name_of(session, known.old_oid), request_id=request.request_id,
        )  # fmt: skip
        replacement = journal.read()
        assert replacement is not None
        downtime = change.run(journal, replacement)
        keep_for_superusers(session, replacement.old_oid)
    return UndoReport(
        replacement_id=replacement.replacement_id,
        undone=known.replacement_id,
        database=known.database,
        kept_as=replacement.old_name,
        undone_at=datetime.now(UTC),
        downtime_seconds=round(downtime, 3),
        seconds=round(time.monotonic() - began, 3),
        request_id=request.request_id,
    )


def _last(database: str | None, settings: Settings) -> Replacement:
    done = [known for known in replacements(settings) if known.step == "done" and database in (None, known.database)]
    if not done or done[0].kind == "undo":
        whose = f" of {database}" if database is not None else ""
        raise UsageError(f"there is no replacement{whose} to undo", "the last one was undone" if done else "", "")
    names = {known.database for known in done}
    if database is None and len(names) > 1:
        raise UsageError("several databases were replaced", ", ".join(sorted(names)), "choose one with --database")
    return done[0]


def _done_before(request: UndoRequest, settings: Settings) -> Replacement | None:
    """Return the undoing of the same request id. Raises RefusedError when that was one of another database."""
    if request.request_id is None:
        return None
    for known in replacements(settings):
        if (known.kind, known.step, known.request_id) != ("undo", "done", request.request_id):
            continue
        if request.database not in (None, known.database):
            raise RefusedError(
                f"the request id {request.request_id} was used to undo another replacement",
                f"of {known.database}",
                "use a new id for a new request",
            )
        return known
    return None


def _undone_by(undoing: Replacement, settings: Settings) -> Replacement:
    """Return the replacement that was undone; the undoing itself where its journal is gone."""
    for known in replacements(settings):
        if known.kind == "replace" and (known.old_oid, known.new_oid) == (undoing.new_oid, undoing.old_oid):
            return known
    return undoing


def _as_before(undoing: Replacement, known: Replacement) -> UndoReport:
    return UndoReport(
        replacement_id=undoing.replacement_id,
        undone=known.replacement_id,
        database=undoing.database,
        kept_as=undoing.old_name,
        changed=False,
        undone_at=undoing.begun_at,
        downtime_seconds=0.0,
        seconds=0.0,
        warnings=(f"this request was done before; database {undoing.database} may have changed since",),
        request_id=undoing.request_id,
    )


def _require_confirmed(request: UndoRequest, known: Replacement) -> None:
    if request.confirmation != CONFIRMATION:
        raise RefusedError(
            f"replacing {known.database} was not undone",
            f"{known.old_name} would take its place again",
            f"what was written since is kept beside; confirm with --confirm {CONFIRMATION}",
        )


def _require_undoable(session: Session, known: Replacement, system_identifier: str) -> None:
    if known.system_identifier != system_identifier:
        raise RefusedError(f"{known.replacement_id} was made on another server", f"system identifier {known.system_identifier}")
    if database_oid(session, known.database) != known.new_oid:
        raise RefusedError(f"database {known.database} is not the one that was restored", "somebody renamed or replaced it since")
    if session.execute("SELECT FROM pg_database WHERE oid = %s", (known.old_oid,)).fetchone() is None:
        raise RefusedError(
            f"database {known.old_name} is gone", "it was dropped, or has expired", "restore a backup with --replace instead"
        )
