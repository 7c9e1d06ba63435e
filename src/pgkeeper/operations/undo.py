"""Undo a replacement: production gets its old database back, and keeps what was written since as a database of its own."""

import time
from datetime import UTC, datetime, timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.services import Services
from pgkeeper.model.errors import BusyError, RefusedError, UsageError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement, after_name
from pgkeeper.operations.change_over import ChangeOver
from pgkeeper.operations.places import outside_session, server
from pgkeeper.operations.replace import CONFIRMATION
from pgkeeper.operations.replacements import ReplacementJournal, replacements
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settle import settle
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.new_database import claim_restores, database_oid
from pgkeeper.postgres.server import Session, require_superuser, told
from pgkeeper.postgres.swap import keep_for_superusers, name_of
from pgkeeper.settings import Settings


class UndoReport(Message):
    """What was undone: `database` holds again what it held before `undone`; what was written since is in `kept_as`."""

    replacement_id: str
    undone: str
    database: str
    kept_as: str
    downtime_seconds: float
    seconds: float
    warnings: tuple[str, ...] = ()


def undo(database: str | None, confirmation: str, settings: Settings, progress: Progress, wait: timedelta = timedelta()) -> UndoReport:
    """Undo the last replacement, of `database` where there were several.

    Raises UsageError when there is nothing to undo, RefusedError without the confirmation or when the old database is gone. Whatever goes
    wrong, production is up again.
    """
    began = time.monotonic()
    known = _last(database, settings)
    with outside_session(settings, known.database) as session, told("the undoing"):
        require_superuser(session)
        cluster = identify(session)
        with exclusive(settings.state_dir, f"restore {cluster.label}", "a restore", wait):
            if holder := claim_restores(session):
                raise BusyError("a restore onto this server is already running", holder, "wait for it")
            for said in settle(settings, progress):
                progress.note(said)
            known = _last(database, settings)
            _require_undoable(session, known, cluster.system_identifier)
            if confirmation != CONFIRMATION:
                raise RefusedError(
                    f"replacing {known.database} was not undone",
                    f"{known.old_name} would take its place again",
                    f"what was written since is kept beside; confirm with --confirm {CONFIRMATION}",
                )
            Services(settings.app_services, settings.state_dir).require_helper()
            change = ChangeOver(session, server(settings), cluster, settings, progress, wait)
            change.require_free(known.database)
            at = datetime.now(UTC)
            journal = ReplacementJournal.begin(
                settings, at, known.database,
                kind="undo", system_identifier=cluster.system_identifier, backup_id=known.backup_id,
                old_oid=known.new_oid, old_name=after_name(known.database, at),
                new_oid=known.old_oid, new_name=name_of(session, known.old_oid),
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
        downtime_seconds=round(downtime, 3),
        seconds=round(time.monotonic() - began, 3),
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


def _require_undoable(session: Session, known: Replacement, system_identifier: str) -> None:
    if known.system_identifier != system_identifier:
        raise RefusedError(f"{known.replacement_id} was made on another server", f"system identifier {known.system_identifier}")
    if database_oid(session, known.database) != known.new_oid:
        raise RefusedError(f"database {known.database} is not the one that was restored", "somebody renamed or replaced it since")
    if session.execute("SELECT FROM pg_database WHERE oid = %s", (known.old_oid,)).fetchone() is None:
        raise RefusedError(
            f"database {known.old_name} is gone", "it was dropped, or has expired", "restore a backup with --replace instead"
        )
