"""The request to undo a replacement: which one is meant, whether it was undone before, and whether it may be undone."""

from datetime import timedelta

from pgkeeper.model.errors import RefusedError, UsageError
from pgkeeper.model.replacement import CONFIRMATION, Replacement
from pgkeeper.operations.replacements import replacements_on
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.postgres.new_database import database_oid
from pgkeeper.postgres.server import Session
from pgkeeper.settings import Settings


class UndoRequest(Message):
    """Of which database the last replacement is undone; needed where several were replaced. `confirmation` must be the word RESTORE.

    A `request_id` makes the request repeatable: what was undone by it once stays as it is, whatever was replaced since.
    """

    database: str | None = None
    confirmation: str = ""
    request_id: str | None = None
    wait: timedelta = timedelta()


def last_replacement(database: str | None, cluster: ClusterIdentity, settings: Settings) -> Replacement:
    """Return the replacement that is meant. Raises UsageError (exit status 2) when there is none to undo, or several databases have one."""
    done = [known for known in replacements_on(cluster, settings) if known.step == "done" and database in (None, known.database)]
    if not done or done[0].kind == "undo":
        whose = f" of {database}" if database is not None else ""
        raise UsageError(f"there is no replacement{whose} to undo", "the last one was undone" if done else "", "")
    names = {known.database for known in done}
    if database is None and len(names) > 1:
        raise UsageError("several databases were replaced", ", ".join(sorted(names)), "choose one with --database")
    return done[0]


def done_before(request: UndoRequest, cluster: ClusterIdentity, settings: Settings) -> Replacement | None:
    """Return the undoing of the same request id. Raises RefusedError when that was one of another database."""
    if request.request_id is None:
        return None
    for known in replacements_on(cluster, settings):
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


def undone_by(undoing: Replacement, cluster: ClusterIdentity, settings: Settings) -> Replacement:
    """Return the replacement that was undone; the undoing itself where its journal is gone."""
    for known in replacements_on(cluster, settings):
        if known.kind == "replace" and (known.old_oid, known.new_oid) == (undoing.new_oid, undoing.old_oid):
            return known
    return undoing


def require_confirmed(request: UndoRequest, known: Replacement) -> None:
    """Raise RefusedError without the word."""
    if request.confirmation != CONFIRMATION:
        raise RefusedError(
            f"replacing {known.database} was not undone",
            f"{known.old_name} would take its place again",
            f"what was written since is kept beside; confirm with --confirm {CONFIRMATION}",
        )


def require_undoable(session: Session, known: Replacement) -> None:
    """Raise RefusedError when production is not what was restored any more, or what was replaced is gone."""
    if database_oid(session, known.database) != known.new_oid:
        raise RefusedError(f"database {known.database} is not the one that was restored", "somebody renamed or replaced it since")
    if session.execute("SELECT FROM pg_database WHERE oid = %s", (known.old_oid,)).fetchone() is None:
        raise RefusedError(
            f"database {known.old_name} is gone", "it was dropped, or has expired", "restore a backup with --replace instead"
        )
