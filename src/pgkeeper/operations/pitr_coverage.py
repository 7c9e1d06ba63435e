"""What one repository covers: its backups, its log, and what follows from both."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgkeeper.model.coverage import Archived, Commit, Coverage, coverage
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment
from pgkeeper.operations.archived_facts import ArchivedFacts
from pgkeeper.operations.pitr import attached, pgbackrest
from pgkeeper.pgbackrest.archive_list import ArchiveList, archive_list
from pgkeeper.pgbackrest.info import RepositoryInfo, info
from pgkeeper.settings import Settings

_GROWTH_DAYS = 7
_SHORTEST = timedelta(hours=12)


@dataclass(frozen=True)
class RepositoryContents:
    """One repository as it was looked at. `segment_bytes` is the size of the cluster's segments."""

    name: RepositoryName
    info: RepositoryInfo
    archive: ArchiveList
    segment_bytes: int
    coverage: Coverage

    @property
    def size_bytes(self) -> int:
        """What backups and log take in the repository."""
        return self.archive.size_bytes + sum(backup.repository_bytes for backup in self.info.backups)

    def added_per_day(self, now: datetime) -> float | None:
        """Return bytes that backups and log added a day, over a week or since the first of them; None where that is too short to say."""
        added = [(file.archived_at, file.size_bytes) for file in self.archive.segments.values()]
        added += [(backup.stopped_at, backup.repository_bytes) for backup in self.info.backups]
        since = max(now - timedelta(days=_GROWTH_DAYS), min((at for at, _ in added), default=now))
        if now - since < _SHORTEST:
            return None
        return sum(size for at, size in added if at >= since) / ((now - since) / timedelta(days=1))


def look_into(
    settings: Settings, repositories: Collection[RepositoryName]
) -> tuple[dict[RepositoryName, RepositoryContents], dict[RepositoryName, Exception]]:
    """Look into repositories; what can't be looked at is in the second answer, with why.

    What is learnt of segments is kept; what no repository holds any more is forgotten, unless one could not be asked.
    """
    program = pgbackrest(settings)
    facts = ArchivedFacts(settings, program)
    found: dict[RepositoryName, RepositoryContents] = {}
    failed: dict[RepositoryName, Exception] = {}
    for name in repositories:
        try:
            known = info(program, number_of(name))
            archive = archive_list(program, number_of(name), known.archive_id)
            found[name] = _contents(name, known, archive, facts)
        except Exception as error:  # noqa: BLE001 - one repository never stands in the way of the other
            failed[name] = error
    if set(attached(settings)) <= found.keys():
        facts.keep({file.key for contents in found.values() for file in contents.archive.segments.values()})
    else:
        facts.keep(None)
    return found, failed


def repository_contents(settings: Settings, repository: RepositoryName) -> RepositoryContents:
    """Look into one repository. Raises what looking raises: PgBackRestFailed where it can't be reached, IntegrityError for damaged log."""
    found, failed = look_into(settings, (repository,))
    if failed:
        raise failed[repository]
    return found[repository]


def _contents(name: RepositoryName, known: RepositoryInfo, archive: ArchiveList, facts: ArchivedFacts) -> RepositoryContents:
    newest = max(archive.segments, default=None)
    segment_bytes = facts.of(known, archive.segments[newest]).bytes if newest else DEFAULT_SEGMENT_BYTES

    def last_commit(segment: Segment, before: int | None) -> Commit | None:
        file = archive.segments[segment.name(segment_bytes)]
        return facts.of(known, file).last_commit if before is None else facts.last_commit_before(known, file, before)

    segments = [Segment.parse(one, segment_bytes) for one in archive.segments]
    covered = coverage(known.repository, known.backups, Archived(segments, archive.histories, segment_bytes), last_commit)
    return RepositoryContents(name, known, archive, segment_bytes, covered)
