"""Restore points: names that the log holds at a position, written by pg_create_restore_point."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.errors import RefusedError, UsageError

LONGEST_NAME = 63
"""Bytes of a name that PostgreSQL keeps (MAXFNAMELEN in access/xlog_internal.h, less its end)."""


class RestorePoint(BaseModel):
    """A name in the log. `lsn` is where its record begins."""

    model_config = ConfigDict(frozen=True)

    name: str
    lsn: str


class Mark(BaseModel):
    """A restore point that pgkeeper made: on which timeline, and when. `lsn` is where its record ends."""

    model_config = ConfigDict(frozen=True)

    name: str
    lsn: str
    timeline: int
    at: datetime


class Marks(BaseModel):
    """All of them, the oldest first."""

    model_config = ConfigDict(frozen=True)

    marks: tuple[Mark, ...] = ()

    def require_free(self, name: str) -> None:
        """Check a name for a new mark.

        Raises UsageError (exit status 2) for one that PostgreSQL would cut or that can't be named again, RefusedError (exit status 6) for
        one that is taken: a name stands for one moment.
        """
        length = len(name.encode())
        if not name.strip() or not name.isprintable():
            raise UsageError("a mark needs a name", "it is empty, or holds what cannot be printed", "call it e.g. before-migration-42")
        if length > LONGEST_NAME:
            raise UsageError("the name is too long", f"{length} bytes; PostgreSQL keeps {LONGEST_NAME}", "choose a shorter one")
        if taken := next((mark for mark in self.marks if mark.name == name), None):
            raise RefusedError(
                f"there is a mark {name} already",
                f"made at {taken.at:%Y-%m-%d %H:%M:%S} UTC, at {taken.lsn} on timeline {taken.timeline}",
                "a name stands for one moment; choose another",
            )
