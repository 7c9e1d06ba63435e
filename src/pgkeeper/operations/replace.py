"""Replace a production database by a backup of it, in the order that keeps the application up the longest.

Everything slow happens while production runs: a fresh backup of it, the restore beside, the comparison. Then services are stopped for as
long as a rename takes. The old database is kept.
"""

import time
from datetime import UTC, datetime
from secrets import token_hex

from pgkeeper.host.logs import log
from pgkeeper.host.services import Services
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement, before_name, next_name
from pgkeeper.operations.backup_database import back_up_database, dump_lock
from pgkeeper.operations.change_over import ChangeOver, require_free
from pgkeeper.operations.only_replacement import only_replacement
from pgkeeper.operations.places import downloads, server
from pgkeeper.operations.replace_request import ReplaceRequest, backup_of, chosen_backup, done_before, require_confirmed, require_possible
from pgkeeper.operations.replacements import ReplacementJournal
from pgkeeper.operations.reports import Message
from pgkeeper.operations.restore_database import DatabaseRestore, Restored
from pgkeeper.operations.settle import settled_if_it_fails
from pgkeeper.operations.tell_owner import tell_replaced
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.postgres.new_database import database_oid
from pgkeeper.postgres.server import Session
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy


class ReplaceReport(Message):
    """What a replacement did. `kept_as` is what the replaced database is called now; `downtime_seconds` is how long production was down.

    `pre_restore_backup` was made of it just before. `phases` maps each phase of the restore to its seconds. `changed` is False when the
    request of that `request_id` was done before; the rest is then what is known of that time.
    """

    replacement_id: str
    backup_id: str
    database: str
    kept_as: str
    pre_restore_backup: str
    changed: bool = True
    created_at: datetime
    replaced_at: datetime
    downtime_seconds: float
    seconds: float
    phases: dict[str, float]
    tables: int
    rows: int
    created_roles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    request_id: str | None = None


def replace(request: ReplaceRequest, settings: Settings, progress: Progress) -> ReplaceReport:
    """Replace a database by a backup of it, and keep the old one as `<name>_before_<time>_<random>`.

    Raises PgkeeperError: RefusedError without the confirmation, or when something ties production to the old database; whatever goes wrong,
    production is up again, with the old database unless the message says otherwise.
    """
    began = time.monotonic()
    backup = chosen_backup(request, settings)
    manifest = backup.manifest()
    with only_replacement(backup.database, settings, request.wait, progress, action="the replacement") as (session, cluster):
        before = done_before(request, backup, cluster, settings)
        if before is not None:
            used = backup_of(before, request, backup, settings)
            return _as_before(before, used, used.manifest())
        require_confirmed(session, request, backup, manifest)
        require_possible(session, cluster, manifest, settings)
        Services(settings.app_services, settings.state_dir).require_helper()
        return _Replacing(request, settings, progress, session, cluster, backup, manifest).run(began)


class _Replacing:
    """One replacement on its way; the caller holds the server's restore lock."""

    def __init__(
        self,
        request: ReplaceRequest,
        settings: Settings,
        progress: Progress,
        session: Session,
        cluster: ClusterIdentity,
        backup: Copy,
        manifest: Manifest,
    ) -> None:
        self._request = request
        self._settings = settings
        self._progress = progress
        self._session = session
        self._cluster = cluster
        self._backup = backup
        self._manifest = manifest
        self._at = datetime.now(UTC)
        self._next = next_name(backup.database, self._at, token_hex(4))

    def run(self, began: float) -> ReplaceReport:
        database = self._backup.database
        change = ChangeOver(self._session, server(self._settings), self._cluster, self._settings, self._progress, self._request.wait)
        require_free(self._session, database)
        journal = ReplacementJournal.begin(
            self._settings, self._at, database,
            kind="replace", system_identifier=self._cluster.system_identifier, backup_id=self._backup.backup_id,
            old_oid=database_oid(self._session, database), old_name=before_name(database, self._at, token_hex(4)),
            new_name=self._next, request_id=self._request.request_id,
        )  # fmt: skip
        with (
            settled_if_it_fails(journal, self._settings, self._progress),
            self._backup.being_read(),
            self._backup.at_hand(downloads(self._settings), self._progress) as at_hand,
        ):
            saved = self._save_production(journal)
            restored = self._restore_beside(journal, at_hand)
        replacement = journal.read()
        assert replacement is not None
        changed = change.run(journal, replacement)
        downtime = changed.downtime_seconds
        log.info("database replaced", database=database, backup_id=self._backup.backup_id, downtime_seconds=round(downtime, 3))
        report = self._report(replacement, saved, restored, downtime, time.monotonic() - began)
        told_warnings = tell_replaced(report.database, report.backup_id, report.kept_as, downtime, report.rows, self._settings)
        return report.model_copy(update={"warnings": (*report.warnings, *changed.warnings, *told_warnings)})

    def _save_production(self, journal: ReplacementJournal) -> str:
        with dump_lock(self._cluster, self._backup.database, self._settings, self._request.wait):
            saved, _manifest = back_up_database(
                self._cluster, self._backup.database, self._settings, self._progress,
                keep=True, wait=self._request.wait, adopt=False, purpose="pre_restore",
            )  # fmt: skip
        assert saved is not None
        journal.note("saved", saved_backup=saved.backup_id)
        return saved.backup_id

    def _restore_beside(self, journal: ReplacementJournal, at_hand: Copy) -> Restored:
        name = self._next
        restored = DatabaseRestore(
            self._session, self._cluster, at_hand, self._manifest, name, server(self._settings), self._progress,
            trust_database=self._request.trust_database, globals_mode=self._request.globals_mode, closed=True, views_filled=True,
        ).run()  # fmt: skip
        journal.note("restored", new_oid=database_oid(self._session, name))
        return restored

    def _report(self, replacement: Replacement, saved: str, restored: Restored, downtime: float, seconds: float) -> ReplaceReport:
        return ReplaceReport(
            replacement_id=replacement.replacement_id,
            backup_id=self._backup.backup_id,
            database=self._backup.database,
            kept_as=replacement.old_name,
            pre_restore_backup=saved,
            created_at=self._backup.created_at,
            replaced_at=datetime.now(UTC),
            downtime_seconds=round(downtime, 3),
            seconds=round(seconds, 3),
            phases=restored.phases,
            tables=len(self._manifest.contents.tables),
            rows=self._manifest.contents.rows,
            created_roles=restored.created_roles,
            warnings=tuple(restored.warnings),
            request_id=self._request.request_id,
        )


def _as_before(known: Replacement, backup: Copy, manifest: Manifest) -> ReplaceReport:
    return ReplaceReport(
        replacement_id=known.replacement_id,
        backup_id=known.backup_id or backup.backup_id,
        database=known.database,
        kept_as=known.old_name,
        pre_restore_backup=known.saved_backup or "",
        changed=False,
        created_at=backup.created_at,
        replaced_at=known.begun_at,
        downtime_seconds=0.0,
        seconds=0.0,
        phases={},
        tables=len(manifest.contents.tables),
        rows=manifest.contents.rows,
        warnings=(f"this request was done before; database {known.database} may have changed since",),
        request_id=known.request_id,
    )
