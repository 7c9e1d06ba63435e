"""Coverage: which moments a repository can bring back, and where its log has gaps."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Span(BaseModel):
    """Moments without a gap between them, on the way to the end of one timeline.

    It begins where the first backup is consistent, and ends with the last commit that is archived before the next gap: what lies behind
    that commit up to `end_lsn` changes nothing. `backups` are the labels of those that lie in it, the oldest first. `open` is False where a
    gap ends it.
    """

    model_config = ConfigDict(frozen=True)

    timeline: int
    backups: tuple[str, ...]
    begins_at: datetime
    ends_at: datetime
    begin_lsn: str
    end_lsn: str
    open: bool


class Gap(BaseModel):
    """Segments that are missing between others, on the way to the end of one timeline.

    `after` is the last commit that can be brought back before it, `before` the first moment behind it: that of the next backup, None as
    long as there is none.
    """

    model_config = ConfigDict(frozen=True)

    timeline: int
    first_segment: str
    last_segment: str
    segments: int
    after: datetime | None
    before: datetime | None


class Coverage(BaseModel):
    """What one repository covers. Spans and gaps are ordered by timeline, then by time."""

    model_config = ConfigDict(frozen=True)

    repository: int
    spans: tuple[Span, ...]
    gaps: tuple[Gap, ...]
