"""Prove that a backup can come back: restore it for real into a throwaway cluster, and compare what is there with the manifest."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pgkeeper.host.sandbox import require_sandbox
from pgkeeper.host.working_place import working_place
from pgkeeper.model.comparison import database_differences, role_differences
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import CONFIG_FILE, DatabaseFacts, Manifest
from pgkeeper.model.names import fit_name
from pgkeeper.model.progress import Progress
from pgkeeper.model.sizes import format_size
from pgkeeper.operations.read_contents import require_other_files
from pgkeeper.operations.restore_database import DatabaseRestore
from pgkeeper.postgres.facts import ClusterIdentity, read_cluster, read_database
from pgkeeper.postgres.new_database import database_exists
from pgkeeper.postgres.server import Server, Session, told
from pgkeeper.postgres.server_config import saved_setting
from pgkeeper.postgres.stored_settings import split_list
from pgkeeper.postgres.tablespaces import make_in_place
from pgkeeper.postgres.throwaway import ThrowawayCluster, require_space, reserve_bytes, throwaway_cluster
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy

_PRELOAD = "shared_preload_libraries"
# What a backup holds may sleep for ever; other proofs wait for this one.
_LONGEST_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Evidence:
    """What a proof found: seconds by phase, those of the restore alone, into which PostgreSQL, and what was different but harmless."""

    phases: dict[str, float]
    recovery_seconds: float
    server_version: str
    warnings: tuple[str, ...]

    def after_fetching(self, seconds: float) -> "Evidence":
        """Return it with the time that fetching the copy took, which a recovery takes as well."""
        took = round(self.recovery_seconds + seconds, 3)
        return replace(self, phases={"fetch": round(seconds, 3), **self.phases}, recovery_seconds=took)


def prove(backup: Copy, manifest: Manifest, settings: Settings, progress: Progress, stopped: Callable[[], bool]) -> Evidence:
    """Restore `backup` in a sandbox and compare everything. `stopped` is asked all the time whether to give up.

    Raises IntegrityError when the backup is damaged or what came back differs, RefusedError (exit status 6) where no sandbox can be had,
    OperationFailed when there is too little space or the restore fails for another reason. Nothing is left of it in any case.
    """
    require_sandbox()
    began = time.monotonic()
    with working_place(settings.proof_dir) as place:
        require_space(place, manifest.database.size_bytes)

        def must_end() -> str:
            free = shutil.disk_usage(place).free
            if free < reserve_bytes(place) // 2:
                return f"the disk of {settings.proof_dir} is nearly full ({format_size(free)} free)"
            if time.monotonic() - began > _LONGEST_SECONDS:
                return f"it took longer than {format_duration(_LONGEST_SECONDS)}"
            return "it was stopped" if stopped() else ""

        # The restore itself looks at the dump; a deeper check includes what the shallower ones look at.
        require_other_files(backup, manifest)
        progress.phase(f"make a throwaway cluster for {manifest.database.name}")
        libraries = _preload_libraries(backup, manifest)
        with throwaway_cluster(place, manifest.cluster, libraries, manifest.contents.schema_statements, must_end) as cluster:
            made = time.monotonic() - began
            return _restore(backup, manifest, cluster, progress, made)


def _restore(backup: Copy, manifest: Manifest, cluster: ThrowawayCluster, progress: Progress, made: float) -> Evidence:
    with cluster.server.connect_maintenance() as session, told(f"the proof of {backup.backup_id}"):
        make_in_place(session, manifest.cluster.tablespaces)
        target = manifest.database.name
        if database_exists(session, target):
            target = fit_name(target, "_proof")
        began = time.monotonic()
        restore = DatabaseRestore(session, cluster.identity, backup, manifest, target, cluster.server, progress, throwaway=True)
        result = restore.run()
        seconds = time.monotonic() - began
        _compare_facts(session, cluster.server, cluster.identity, manifest, target)
    missing = [f"the preload library {name} is not installed here; the backup came back without it" for name in cluster.dropped_libraries]
    return Evidence(
        phases={"make cluster": round(made, 3), **result.phases},
        recovery_seconds=round(seconds, 3),
        server_version=cluster.identity.server_version,
        warnings=(*result.warnings, *missing),
    )


def _compare_facts(session: Session, server: Server, identity: ClusterIdentity, manifest: Manifest, target: str) -> None:
    """Compare what stands in no dump: the database's own properties, and the roles."""
    with server.connect(target, major=identity.major) as inside:
        found: DatabaseFacts = read_database(session, inside, target)
    roles = read_cluster(session, manifest.cluster.host)
    lines = database_differences(manifest.database, found) + role_differences(manifest.cluster, roles)
    if lines:
        raise IntegrityError("what was restored differs from the backup's manifest", "; ".join(lines))


def _preload_libraries(backup: Copy, manifest: Manifest) -> list[str]:
    try:
        value = saved_setting(backup.read_gzip(manifest.file(CONFIG_FILE)), _PRELOAD)
    except IntegrityError as error:
        if backup.backup_id in str(error):
            raise
        raise IntegrityError(f"backup {backup.backup_id}: {error.what}", error.why, error.hint) from error
    return [name for name in split_list(value) if name]
