"""Which moments can be brought back: per repository and timeline, with what stands in the way."""

from collections.abc import Iterator
from datetime import UTC, datetime

from pgkeeper.model.counts import count
from pgkeeper.model.coverage import Barrier, Gap, Span
from pgkeeper.model.errors import ErrorInfo, PgkeeperError
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.repository import REPOSITORIES, RepositoryName
from pgkeeper.model.restore_point import Mark
from pgkeeper.operations.cluster_in_place import foreign_cluster
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.kept_clusters import names_left
from pgkeeper.operations.pitr import attached, detached, require_pitr
from pgkeeper.operations.pitr_archiving import Archiving, look_at_archiving
from pgkeeper.operations.pitr_coverage import RepositoryContents, look_into
from pgkeeper.operations.pitr_detached import detached_since
from pgkeeper.operations.pitr_marks import read_marks
from pgkeeper.operations.pitr_proof import RecoveryProof, last_proof
from pgkeeper.operations.pitr_timelines import timeline_warnings
from pgkeeper.operations.production_lineage import production_lineage
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.settings import Settings


class RepositoryWindow(Message):
    """What one repository can bring back.

    With an `error` nothing is known of it. One that is not `attached` is not looked into: nothing is written there `detached_since` then
    (None where that is not known). `size_bytes` is what it takes, `added_bytes_per_day` what comes in (less goes when backups expire),
    None where that is too early to say. `doubtful_segments` are archived twice with different contents, and count as missing. `proven` is
    the last recovery from it that was done to prove it.
    """

    repository: RepositoryName
    attached: bool = True
    detached_since: datetime | None = None
    error: ErrorInfo | None = None
    encrypted: bool = False
    size_bytes: int = 0
    added_bytes_per_day: float | None = None
    backups: tuple[PhysicalBackup, ...] = ()
    spans: tuple[Span, ...] = ()
    gaps: tuple[Gap, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    doubtful_segments: tuple[str, ...] = ()
    proven: RecoveryProof | None = None


class WindowReport(Message):
    """The window, and how the log gets there. `archiving.error` says why the server could not be asked.

    `left` names what `pitr list` shows of recoveries.
    """

    stanza: str
    checked_at: datetime
    archiving: Archiving
    repositories: tuple[RepositoryWindow, ...]
    marks: tuple[Mark, ...]
    left: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when every attached repository was looked into, else the status that all failures share, or 1."""
        return shared_status(repository.error for repository in self.repositories)


def window(settings: Settings) -> WindowReport:
    """Look into the repositories and at the server. What can't be looked at is in the report. Raises ConfigurationError (exit status 3)."""
    require_pitr(settings)
    now = datetime.now(UTC)
    archiving = look_at_archiving(settings)
    found, failed = look_into(settings, attached(settings))
    repositories = []
    for name in REPOSITORIES:
        if name in detached(settings):
            repositories.append(RepositoryWindow(repository=name, attached=False, detached_since=detached_since(settings, name)))
        elif name in failed:
            repositories.append(RepositoryWindow(repository=name, error=as_error_info(failed[name], f"looking into repository {name}")))
        elif name in found:
            repositories.append(_window(found[name], now, last_proof(name, settings)))
    marks: tuple[Mark, ...] = ()
    warnings = list(_warnings(found, settings))
    try:
        marks = read_marks(settings).marks
    except PgkeeperError as error:
        warnings.append(str(error))
    return WindowReport(
        stanza=settings.pitr_stanza,
        checked_at=now,
        archiving=archiving,
        repositories=tuple(repositories),
        marks=marks,
        left=names_left(settings),
        warnings=tuple(warnings),
    )


def _window(contents: RepositoryContents, now: datetime, proven: RecoveryProof | None) -> RepositoryWindow:
    return RepositoryWindow(
        repository=contents.name,
        encrypted=contents.info.encrypted,
        size_bytes=contents.size_bytes,
        added_bytes_per_day=contents.added_per_day(now),
        backups=contents.info.backups,
        spans=contents.coverage.spans,
        gaps=contents.coverage.gaps,
        barriers=contents.coverage.barriers,
        doubtful_segments=contents.archive.doubtful,
        proven=proven,
    )


def _warnings(found: dict[RepositoryName, RepositoryContents], settings: Settings) -> Iterator[str]:
    for name, contents in found.items():
        if foreign := foreign_cluster(settings, contents.info.system_identifier):
            yield f"repository {name}: {foreign}"
        production = production_lineage(settings, contents.info.system_identifier, contents.archive.histories)
        yield from timeline_warnings(contents, production)
        for backup in contents.info.backups:
            if not backup.whole:
                yield f"backup {backup.label} in repository {name} has damaged pages: they were damaged in production as it was made"
        if contents.info.older:
            yield f"repository {name} also has {count(contents.info.older, 'backup')} from before an upgrade: not part of the window"
