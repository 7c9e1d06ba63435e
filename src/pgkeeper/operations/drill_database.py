"""Drill one database: find its newest copy, fetch it once, prove it, and restore it for real."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.drill import Phase, drill_target, recovery_seconds
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.operations.drill_report import DrillOutcome, DrillRequest
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.only_restore import only_restore
from pgkeeper.operations.places import downloads, server
from pgkeeper.operations.prove import prove
from pgkeeper.operations.restore_database import DatabaseRestore
from pgkeeper.operations.restore_preparation import require_fit
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.new_database import database_exists, drop_database
from pgkeeper.postgres.server import Session, told
from pgkeeper.settings import Settings
from pgkeeper.stores.cloud_copy import CloudCopy
from pgkeeper.stores.copy import Copy


class DatabaseDrill:
    """One database's turn in a drill that was begun at `began`. Nothing is written to where the copy lies."""

    def __init__(self, copy: CloudCopy, request: DrillRequest, settings: Settings, progress: Progress, began: datetime) -> None:
        self._copy = copy
        self._request = request
        self._settings = settings
        self._progress = progress
        self._began = began
        self._phases: dict[Phase, float] = {}
        self._warnings: list[str] = []
        self._outcome = DrillOutcome(
            database=copy.database, cluster=copy.cluster, backup_id=copy.backup_id, status="done", size_bytes=copy.size_bytes
        )

    def run(self) -> DrillOutcome:
        """Take all steps, and return how it went. Only what ends the whole program is raised."""
        error = None
        try:
            with self._copy.being_read():
                self._steps()
        except Exception as failure:  # noqa: BLE001 - one database's failure never hides what becomes of another
            error = as_error_info(failure, f"the drill of {self._copy.database}")
            log.error("drill failed", backup_id=self._copy.backup_id, error=str(error))
        return self._outcome.model_copy(
            update={
                "status": "failed" if error else "done",
                "phases": self._phases,
                "recovery_seconds": None if error else recovery_seconds(self._phases),
                "warnings": tuple(self._warnings),
                "error": error,
            }
        )

    def _steps(self) -> None:
        with self._phase("find"):
            manifest = self._find()
        with ExitStack() as stack:
            with self._phase("fetch"):
                at_hand = stack.enter_context(self._copy.at_hand(downloads(self._settings), self._progress))
            with exclusive(self._settings.state_dir, "prove", "a proof", self._request.wait), self._phase("prove"):
                evidence = prove(at_hand, manifest, self._settings, self._progress, lambda: False)
            self._warnings += evidence.warnings
            self._restore(at_hand, manifest)

    @contextmanager
    def _phase(self, phase: Phase) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._phases[phase] = round(time.monotonic() - began, 3)

    def _find(self) -> Manifest:
        """Believe the copy's header, and see that this server can take it, before anything is fetched."""
        self._progress.phase(f"find {self._copy.backup_id}")
        self._copy.require_complete()
        manifest = self._copy.manifest()
        self._note(
            snapshot_at=manifest.snapshot_at,
            age_seconds=round((self._began - manifest.snapshot_at).total_seconds(), 1),
            database_bytes=manifest.database.size_bytes,
        )
        with server(self._settings).connect_maintenance() as session, told("looking at the server"):
            require_fit(session, identify(session), manifest)
        return manifest

    def _restore(self, at_hand: Copy, manifest: Manifest) -> None:
        reached = server(self._settings)
        with (
            reached.connect_maintenance() as session,
            told("the restore"),
            only_restore(session, self._settings, self._request.wait) as cluster,
        ):
            name = manifest.database.name
            target = drill_target(name, self._began, taken=database_exists(session, name))
            restore = DatabaseRestore(
                session, cluster, at_hand, manifest, target, reached, self._progress, self._request.trust_database,
                closed=not self._request.keep,
            )  # fmt: skip
            with self._phase("restore"):
                result = restore.run()
            self._warnings += (warning for warning in result.warnings if warning not in self._warnings)
            self._note(target=target, kept=True, tables=len(manifest.contents.tables), rows=manifest.contents.rows)
            if not self._request.keep:
                self._drop(session, target)

    def _drop(self, session: Session, target: str) -> None:
        """Remove what was restored. That it can't be is a remark: the database came back all the same."""
        try:
            with told(f"removing the database {target}"):
                drop_database(server(self._settings), session, target)
        except PgkeeperError as error:
            self._warnings.append(f"{target} is still there, closed: {error}")
        else:
            self._note(kept=False)

    def _note(self, **facts: object) -> None:
        self._outcome = self._outcome.model_copy(update=facts)
