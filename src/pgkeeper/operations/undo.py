"""Undo a replacement: production gets its old database back, and keeps what was written since as a database of its own."""

import time
from datetime import UTC, datetime
from secrets import token_hex

from pgkeeper.host.services import Services
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement, after_name
from pgkeeper.operations.change_over import ChangeOver, require_free
from pgkeeper.operations.only_replacement import only_replacement
from pgkeeper.operations.places import cluster_reached, server
from pgkeeper.operations.replacements import ReplacementJournal
from pgkeeper.operations.reports import Message
from pgkeeper.operations.undo_request import UndoRequest, done_before, last_replacement, require_confirmed, require_undoable, undone_by
from pgkeeper.postgres.swap import keep_for_superusers, name_of
from pgkeeper.settings import Settings


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


def undo(request: UndoRequest, settings: Settings, progress: Progress) -> UndoReport:
    """Undo the last replacement, of one database where several were replaced.

    Raises UsageError when there is nothing to undo, RefusedError without the confirmation or when the old database is gone. Whatever goes
    wrong, production is up again.
    """
    began = time.monotonic()
    reached = cluster_reached(settings)
    known = done_before(request, reached, settings) or last_replacement(request.database, reached, settings)
    with only_replacement(known.database, settings, request.wait, progress, action="the undoing") as (session, cluster):
        # Once more: somebody may have undone it, and settling may have, too.
        before = done_before(request, cluster, settings)
        if before is not None:
            return _as_before(before, undone_by(before, cluster, settings))
        known = last_replacement(request.database, cluster, settings)
        require_undoable(session, known)
        require_confirmed(request, known)
        Services(settings.app_services, settings.state_dir).require_helper()
        change = ChangeOver(session, server(settings), cluster, settings, progress, request.wait)
        require_free(session, known.database)
        at = datetime.now(UTC)
        journal = ReplacementJournal.begin(
            settings, at, known.database,
            kind="undo", system_identifier=cluster.system_identifier, backup_id=known.backup_id,
            old_oid=known.new_oid, old_name=after_name(known.database, at, token_hex(4)),
            new_oid=known.old_oid, new_name=name_of(session, known.old_oid), request_id=request.request_id,
        )  # fmt: skip
        replacement = journal.read()
        assert replacement is not None
        changed = change.run(journal, replacement)
        keep_for_superusers(session, replacement.old_oid)
    return UndoReport(
        replacement_id=replacement.replacement_id,
        undone=known.replacement_id,
        database=known.database,
        kept_as=replacement.old_name,
        undone_at=datetime.now(UTC),
        downtime_seconds=round(changed.downtime_seconds, 3),
        seconds=round(time.monotonic() - began, 3),
        warnings=changed.warnings,
        request_id=request.request_id,
    )


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
