"""What a recovery in place will replay is read beforehand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from pgkeeper.model.coverage import Coverage
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.progress import NullProgress
from pgkeeper.model.recovery_plan import Plan
from pgkeeper.model.recovery_target import Target
from pgkeeper.model.wal import Segment, format_lsn
from pgkeeper.operations import pitr_coverage
from pgkeeper.operations.pitr_coverage import RepositoryContents, read_replayed
from pgkeeper.pgbackrest.archive_list import ArchivedFile, ArchiveList
from pgkeeper.pgbackrest.info import RepositoryInfo
from pgkeeper.settings import Settings

AT = datetime(2026, 3, 1, tzinfo=UTC)
BYTES = 16 << 20
BACKUP = PhysicalBackup(
    repository=1,
    label="20260301-000000F",
    kind="full",
    started_at=AT,
    stopped_at=AT,
    begin_lsn=format_lsn(3 * BYTES + 40),
    end_lsn=format_lsn(3 * BYTES + 800),
    begin_segment=Segment(1, 3).name(),
    end_segment=Segment(1, 3).name(),
    size_bytes=1,
    repository_bytes=1,
)


@dataclass
class Facts:
    """Remembers which segments were read."""

    known: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)

    def known_of(self, file: ArchivedFile) -> str | None:
        """Return something of a segment that was read."""
        return file.name if file.name in self.known else None

    def of(self, _repository: RepositoryInfo, file: ArchivedFile) -> None:
        """Read a segment."""
        self.known.add(file.name)
        self.read.append(file.name)

    def keep(self, held: None) -> None:
        """Write nothing down."""


@pytest.mark.parametrize(("kind", "last"), [("time", 6), ("latest", 8)])
def test_all_that_is_replayed_and_nothing_else_is_read_once(monkeypatch: pytest.MonkeyPatch, kind: str, last: int) -> None:
    facts = Facts({Segment(1, 4).name()})
    monkeypatch.setattr(pitr_coverage, "pgbackrest", lambda _settings: None)
    monkeypatch.setattr(pitr_coverage, "ArchivedFacts", lambda _settings, _program: facts)
    names = [Segment(1, number).name() for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)]
    archive = ArchiveList({name: ArchivedFile(name, "0" * 40, 1, AT) for name in names}, {})
    info = RepositoryInfo(repository=1, archive_id="15-1", system_identifier="1", major=15, encrypted=False, backups=(BACKUP,))
    contents = RepositoryContents("local", info, archive, BYTES, Coverage(repository=1, spans=(), gaps=()))
    target = Target(kind="latest") if kind == "latest" else Target(kind="time", at=AT)
    # A quiet log goes on behind its last commit.
    plan = Plan(repository=1, backup=BACKUP.label, timeline=1, settings={}, ends_at_lsn=format_lsn(6 * BYTES + 9), target=target)
    assert read_replayed(plan, contents, Settings(), NullProgress())
    assert facts.read == [Segment(1, number).name() for number in (3, 5, 6, 7, 8) if number <= last]
    assert not read_replayed(plan, contents, Settings(), NullProgress())
