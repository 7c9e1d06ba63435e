"""See that a repository has the history of the timeline that production is on: without it PostgreSQL recovers nothing on that timeline.

The server sends a history once, as the timeline begins. A repository that was not attached then never gets it from there, nor one where it
was damaged since, or where another server put its own in its place.
"""

from pathlib import Path

from pgkeeper.host.logs import log
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.pgbackrest.archive_has import archive_has_history
from pgkeeper.pgbackrest.archive_push import push_history
from pgkeeper.pgbackrest.program import PgBackRest


def history_problem(history: Path | None, name: RepositoryName, archive_id: str, program: PgBackRest, archived: str | None = None) -> str:
    """Send production's history (None where it needs none) to a repository that lacks it, or has another one in its place.

    `archived` is the text that the repository was seen to have, None where nobody looked. Returns what is wrong where that could not be
    done, and what to do; else nothing.
    """
    if history is None:
        return ""
    try:
        is_other = archived is not None and history.exists() and history.read_bytes().decode("utf-8", "replace") != archived
        if not is_other and archive_has_history(program, number_of(name), archive_id, history.name):
            return ""
        if not history.exists():
            copy_it = "copy it there from a standby's pg_wal, or with `pgbackrest repo-get` from the other repository"
            return _lacking(name, history, f"it is not in {history.parent} any more ({copy_it}; then `pgkeeper pitr backup`)")
        _send(history, name, archive_id, program)
    except (PgkeeperError, OSError) as error:
        return _lacking(name, history, f"it could not be sent: {error} (`pgkeeper pitr backup` tries again)")
    log.info("history sent", repository=name, history=history.name, in_place_of_another=is_other)
    return ""


def _send(history: Path, name: RepositoryName, archive_id: str, program: PgBackRest) -> None:
    try:
        push_history(program, history)
    except PgkeeperError:
        # It is sent to all, and that fails where another one is out of reach.
        if not archive_has_history(program, number_of(name), archive_id, history.name):
            raise


def _lacking(name: RepositoryName, history: Path, why: str) -> str:
    return f"repository {name} lacks {history.name}, and without it recoveries from there to this timeline fail: {why}"
