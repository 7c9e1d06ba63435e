"""A job: work that is recorded, so that somebody else can follow it."""

import re
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.errors import ErrorInfo, UsageError

SILENCE = timedelta(minutes=2)
"""A job on another host that was not heard of for so long counts as lost."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STAMP = "%Y%m%dT%H%M%SZ"

State = Literal["running", "done", "failed", "lost"]
Kind = Literal["phase", "note", "warning", "error"]


class Job(BaseModel):
    """One job as last written. `lost`: it ended without saying how. `host` is the host's identity; times are UTC, sizes bytes."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    host: str
    pid: int
    operation: str
    state: State
    phase: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None = None
    result: dict[str, Any] | None = None
    error: ErrorInfo | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why the job failed: its error, or what failed in its report, each after the database it is about."""
        if self.error is not None:
            return (str(self.error),)
        outcomes = (self.result or {}).get("outcomes")
        failed = [one for one in outcomes if isinstance(one, dict) and one.get("error")] if isinstance(outcomes, (list, tuple)) else []
        return tuple(f"{_about(one)}{ErrorInfo.model_validate(one['error'])}" for one in failed)

    def seen_from_afar(self, now: datetime) -> "Job":
        """Return the job as somebody on another host sees it: lost when it says that it runs, but has long been silent."""
        silent = self.state == "running" and now - self.heartbeat_at > SILENCE
        return self.model_copy(update={"state": "lost"}) if silent else self


class JobEvent(BaseModel):
    """One line of a job's log."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    kind: Kind
    text: str


def _about(outcome: dict[str, Any]) -> str:
    database = outcome.get("database")
    return f"{database}: " if database else ""


def new_job_id(operation: str, at: datetime, random: str) -> str:
    """Return the id of a job that nobody has named: `<operation>-<UTC yyyymmddThhmmssZ>-<random>`."""
    return f"{operation}-{at.strftime(_STAMP)}-{random}"


def require_job_id(job_id: str) -> str:
    """Return `job_id`. Raises UsageError (exit status 2) when it is none: ids are names of files and arguments, too."""
    if not _ID.fullmatch(job_id):
        raise UsageError(f"{job_id!r} is no job id", "letters, digits, dot, dash and underscore, 100 at most")
    return job_id
