"""A replacement (or an undoing) of the cluster that was done before: whether production can still be recovered, now.

What the journal says was true then. The last step of a replacement is a full backup; a request that was done is asked for again to have
that state, so what is missing of it is made, and how archiving stands is asked anew.
"""

from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import number_of
from pgkeeper.operations.pitr import attached, pgbackrest
from pgkeeper.operations.pitr_archiving import look_at_archiving
from pgkeeper.operations.replace_cluster_report import ReplaceClusterReport, full_backup
from pgkeeper.pgbackrest.info import info
from pgkeeper.settings import Settings

BEFORE = "this request was done before; production may have changed since"


def backup_since(known: ClusterReplacement, settings: Settings) -> str | None:
    """Return the label of the newest backup made since, None where there is none. Raises PgkeeperError: a repository can't be asked."""
    program = pgbackrest(settings)
    found = [
        backup
        for name in attached(settings)
        for backup in info(program, number_of(name)).backups
        if backup.whole and backup.consistent_at >= known.changed_at
    ]
    return max(found, key=lambda backup: backup.stopped_at).label if found else None


def planned_again(known: ClusterReplacement, settings: Settings) -> tuple[bool, str]:
    """Return whether the request, done before, would change anything now, and why; a repository out of reach lets nothing be changed."""
    done = f"done before, as {known.replacement_id}; production may have changed since"
    try:
        lacking = backup_since(known, settings) is None
    except PgkeeperError as error:
        return False, f"{done}. Whether there is a backup since is not known: {error}"
    return lacking, f"{done}. There is no physical backup since then: a full one would be made" if lacking else done


def done_again(known: ClusterReplacement, settings: Settings, progress: Progress) -> ReplaceClusterReport:
    """Return how things are now; a full backup is made where there is none since. Production's files are left alone."""
    warnings: tuple[str, ...] = (BEFORE,)
    label = None
    try:
        label = backup_since(known, settings)
    except PgkeeperError as error:
        warnings += (f"whether there is a backup since is not known: {error}",)
    else:
        if label is None:
            label, problems = full_backup(settings, progress)
            warnings += ("there was no physical backup since then", *problems)
    archiving = look_at_archiving(settings)
    return ReplaceClusterReport(
        replacement_id=known.replacement_id,
        in_place=known.in_place,
        target=known.target,
        recovered_from=known.backup,
        timeline=known.timeline,
        kept_as=known.kept_as,
        changed=False,
        replaced_at=known.changed_at,
        downtime_seconds=0.0,
        seconds=0.0,
        archived=bool(archiving.works),
        archive_problem=archiving.problem or (str(archiving.error) if archiving.error else ""),
        backup=label,
        warnings=warnings,
        request_id=known.request_id,
    )
