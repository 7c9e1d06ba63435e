"""Make the catalog again from the files that are the truth."""

from pgkeeper.host.logs import log
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.operations.manifest_facts import ManifestFacts, fresh_facts, manifest_path
from pgkeeper.operations.places import catalog, local_store
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settling import begin_settling
from pgkeeper.settings import Settings


class RebuildReport(Message):
    """What the catalog knows now of this host.

    `moved_to` is where a catalog went that could not be used; `problems` names manifests that can't be read.
    """

    backups: int
    sizes: int
    jobs: int
    moved_to: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 1 when a manifest could not be read."""
        return int(bool(self.problems))


def rebuild_catalog(settings: Settings) -> RebuildReport:
    """Read all manifests, and put what they say in the place of the index in one transaction.

    Jobs stay, and so do sizes that stand in no manifest any more, where the old catalog can be read; else it is moved aside. Whoever
    records a job meanwhile goes on. Raises OperationFailed when the store can't be read, or the catalog can't be used for a reason that a
    new one would share; then nothing has changed.
    """
    from pgkeeper.catalog.rebuild import make_room, rebuild

    known = catalog(settings)
    backups = local_store(settings).backups()
    facts, index = fresh_facts(backups)
    sizes = [
        (backup.cluster, backup.database, backup.created_at, said.database_bytes)
        for backup in backups
        if isinstance(said := facts[manifest_path(backup)], ManifestFacts)
    ]
    tell_expiry(settings)
    moved_to = make_room(known)
    health = rebuild(known, index, sizes)
    problems = tuple(str(error) for error in facts.values() if isinstance(error, PgkeeperError))
    log.info("catalog rebuilt", backups=health.backups, sizes=health.sizes, jobs=health.jobs, moved_to=moved_to, problems=len(problems))
    return RebuildReport(backups=health.backups, sizes=health.sizes, jobs=health.jobs, moved_to=moved_to, problems=problems)


def tell_expiry(settings: Settings) -> None:
    """Say to expiry that nothing is to be removed right after a rebuild: whoever rebuilds has had trouble, and should look first.

    It is said before anything is changed, so that it holds also for a rebuild that is cut off.
    """
    begin_settling(settings, "the catalog was rebuilt")
