"""What one repository covers: its backups, its log, and what follows from both."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from pgkeeper.model.coverage import Archived, Commit, Coverage, coverage
from pgkeeper.model.progress import Progress
from pgkeeper.model.recovery_plan import Plan
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.model.timelines import segment_on, way_to
from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment, parse_lsn
from pgkeeper.operations.archived_facts import ArchivedFacts
from pgkeeper.operations.pitr import attached, pgbackrest
from pgkeeper.pgbackrest.archive_list import ArchivedFile, ArchiveList, archive_list
from pgkeeper.pgbackrest.info import RepositoryInfo, info
from pgkeeper.settings import Settings

_GROWTH_DAYS = 7
_READING = 10.0
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
    settings: Settings, repositories: Collection[RepositoryName], reading: float = _READING
) -> tuple[dict[RepositoryName, RepositoryContents], dict[RepositoryName, Exception]]:
    """Look into repositories; what can't be looked at is in the second answer, with why.

    Segments of the local repository that nobody has read yet are read for so many seconds at most, for barriers: that costs nothing but
    time, once for each, while what is fetched from off site is paid for. What is learnt of segments is kept; what no repository holds any
    more is forgotten, unless one could not be asked.
    """
    program = pgbackrest(settings)
    facts = ArchivedFacts(settings, program)
    found: dict[RepositoryName, RepositoryContents] = {}
    failed: dict[RepositoryName, Exception] = {}
    for name in repositories:
        try:
            known = info(program, number_of(name))
            archive = archive_list(program, number_of(name), known.archive_id)
            if name == "local":
                facts.read(known, _from_first_backup(known, archive), reading)
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


def read_replayed(plan: Plan, contents: RepositoryContents, settings: Settings, progress: Progress) -> bool:
    """Read what nobody has read yet of the segments that a recovery replays; tell whether there was any. Raises what reading raises."""
    facts = ArchivedFacts(settings, pgbackrest(settings))
    size = contents.segment_bytes
    backup = next(one for one in contents.info.backups if one.label == plan.backup)
    way = way_to(plan.timeline, contents.archive.histories.get(plan.timeline, ""))
    unread = []
    # The end of the log lies behind its last commit, as far as segments follow one another.
    for number in count(Segment.parse(backup.begin_segment, size).number):
        file = contents.archive.segments.get(segment_on(way, number, size).name(size))
        if file is None or (plan.target.kind != "latest" and number > parse_lsn(plan.ends_at_lsn) // size):
            break
        unread += [file] if facts.known_of(file) is None else []
    if unread:
        progress.phase("read the log that would be replayed")
    for done, file in enumerate(unread, 1):
        facts.of(contents.info, file)
        progress.advance(done, len(unread))
    facts.keep(None)
    return bool(unread)


def _contents(name: RepositoryName, known: RepositoryInfo, archive: ArchiveList, facts: ArchivedFacts) -> RepositoryContents:
    newest = max(archive.segments, default=None)
    segment_bytes = facts.of(known, archive.segments[newest]).bytes if newest else DEFAULT_SEGMENT_BYTES

    def last_commit(segment: Segment, before: int | None) -> Commit | None:
        file = archive.segments[segment.name(segment_bytes)]
        return facts.of(known, file).last_commit if before is None else facts.last_commit_before(known, file, before)

    segments = {Segment.parse(one, segment_bytes): file for one, file in archive.segments.items()}
    barriers = {
        segment: parse_lsn(read.minimal_from) for segment, file in segments.items() if (read := facts.known_of(file)) and read.minimal_from
    }
    archived = Archived(segments.keys(), archive.histories, segment_bytes, barriers, archive.unreadable)
    covered = coverage(known.repository, known.backups, archived, last_commit)
    return RepositoryContents(name, known, archive, segment_bytes, covered)


def _from_first_backup(known: RepositoryInfo, archive: ArchiveList) -> list[ArchivedFile]:
    """Return the segments that a recovery may need, the newest first. By their names: what is before the timeline counts in all of them."""
    first = min((backup.begin_segment[8:] for backup in known.backups), default=None)
    return [archive.segments[name] for name in sorted(archive.segments, reverse=True) if first is not None and name[8:] >= first]
