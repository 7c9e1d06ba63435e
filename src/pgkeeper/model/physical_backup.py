"""Physical backups: copies of a cluster's files, from which recovery begins. As pgBackRest tells of them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.wal import timeline_of

BackupKind = Literal["full", "diff", "incr"]

_FULL_EVERY = timedelta(days=7)
# A timetable that fires at the same minute each week would find a week not quite over.
_EARLY = timedelta(hours=6)


class PhysicalBackup(BaseModel):
    """One physical backup in one repository.

    It is consistent from `end_lsn` on, reached at `stopped_at`; recovery reads the log from `begin_segment` on. `size_bytes` is what a
    restore writes, `repository_bytes` what it added to the repository. `prior` are the labels it builds on. `whole` is False where pages
    were found damaged as it was made.
    """

    model_config = ConfigDict(frozen=True)

    repository: int
    label: str
    kind: BackupKind
    started_at: datetime
    stopped_at: datetime
    begin_lsn: str
    end_lsn: str
    begin_segment: str
    end_segment: str
    size_bytes: int
    repository_bytes: int
    prior: tuple[str, ...] = ()
    whole: bool = True

    @property
    def consistent_at(self) -> datetime:
        """The first whole second at which it is surely consistent: pgBackRest cuts off the parts of `stopped_at`'s second."""
        return self.stopped_at + timedelta(seconds=1)

    @property
    def timeline(self) -> int:
        """The timeline it was made on."""
        return timeline_of(self.begin_segment)


def kind_due(backups: Iterable[PhysicalBackup], now: datetime, *, gap: bool) -> BackupKind:
    """Return which kind a repository is to get next: full where no full one is younger than a week, or there is a gap in the log since."""
    full = [backup.started_at for backup in backups if backup.kind == "full"]
    return "diff" if full and now - max(full) < _FULL_EVERY - _EARLY and not gap else "full"
