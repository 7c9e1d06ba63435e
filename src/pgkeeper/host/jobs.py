"""Work that outlives whoever asked for it: a job's file says how far it is, whoever looks.

`BACKUP_STATE_DIR/jobs/<job id>.json` is replaced as a whole at every change. The job's lock is held as long as it works; a file that says
"running" without that lock tells of a job that died.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pgkeeper.host.locks import exclusive, lock_path
from pgkeeper.model.errors import ErrorInfo, UsageError
from pgkeeper.model.progress import Progress

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SECONDS_BETWEEN_WRITES = 1.0


class Job(BaseModel):
    """One job as last written. `lost`: it said it was running, but nobody is. Times are UTC, sizes bytes."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    operation: str
    state: Literal["running", "done", "failed", "lost"]
    phase: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    result: dict[str, Any] | None = None
    error: ErrorInfo | None = None


class JobRecorder:
    """Writes a job's progress to its file, and passes it on to another watcher."""

    def __init__(self, path: Path, job: Job, then: Progress) -> None:
        self._path = path
        self._then = then
        self._written = 0.0
        self.job = job
        self._write()

    def phase(self, name: str) -> None:
        """Begin a phase."""
        self._change(phase=name, done_bytes=0, total_bytes=None)
        self._then.phase(name)

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Report bytes; the file follows about once a second."""
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self._change(done_bytes=done_bytes, total_bytes=total_bytes)
        self._then.advance(done_bytes, total_bytes)

    def note(self, text: str) -> None:
        """Pass a remark on."""
        self._then.note(text)

    def finish(self, result: dict[str, Any] | None, error: ErrorInfo | None, *, failed: bool) -> None:
        """Settle the job."""
        self._change(state="failed" if failed else "done", result=result, error=error, finished_at=datetime.now(UTC))

    def _change(self, **values: object) -> None:
        self.job = self.job.model_copy(update={**values, "updated_at": datetime.now(UTC)})
        # A record that can't be written (a full disk) must not cost the work; without its last line the job reads as lost.
        with suppress(OSError):
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.job.model_dump_json())
            temporary.rename(self._path)
        finally:
            temporary.unlink(missing_ok=True)
        self._written = time.monotonic()


def read_job(state_dir: Path, job_id: str) -> Job | None:
    """Return a job, or None when there is no such job or its record can't be read. Raises UsageError for an id that is none."""
    try:
        job = Job.model_validate_json(_path(state_dir, job_id).read_bytes())
    except (OSError, ValidationError):
        return None
    if job.state == "running" and not _held(state_dir, job_id):
        # It may have finished between our two looks.
        job = Job.model_validate_json(_path(state_dir, job_id).read_bytes())
        if job.state == "running":
            return job.model_copy(update={"state": "lost"})
    return job


def list_jobs(state_dir: Path) -> tuple[Job, ...]:
    """Return all jobs, the last started first."""
    names = [path.stem for path in (state_dir / "jobs").glob("*.json")]
    jobs = [job for name in names if _ID.fullmatch(name) and (job := read_job(state_dir, name)) is not None]
    return tuple(sorted(jobs, key=lambda job: job.started_at, reverse=True))


def forget_jobs(state_dir: Path, before: datetime) -> None:
    """Remove the files of jobs that were last heard of before `before`; one that still runs keeps its own fresh."""
    for job in list_jobs(state_dir):
        if job.updated_at < before and job.state != "running":
            with suppress(OSError):
                _path(state_dir, job.job_id).unlink(missing_ok=True)


@contextmanager
def running_job(state_dir: Path, job_id: str, operation: str, then: Progress) -> Iterator[JobRecorder]:
    """Run the block as a job. Whoever leaves the block has called `finish`; otherwise the job reads as lost.

    Raises BusyError (exit status 5) when the job is running already.
    """
    path = _path(state_dir, job_id)
    with exclusive(state_dir, _lock_name(job_id), f"job {job_id}"):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        now = datetime.now(UTC)
        yield JobRecorder(path, Job(job_id=job_id, operation=operation, state="running", started_at=now, updated_at=now), then)


def _path(state_dir: Path, job_id: str) -> Path:
    if not _ID.fullmatch(job_id):
        raise UsageError(f"{job_id!r} is no job id", "letters, digits, dot, dash and underscore, 100 at most")
    return state_dir / "jobs" / f"{job_id}.json"


def _lock_name(job_id: str) -> str:
    return f"job {job_id}"


def _held(state_dir: Path, job_id: str) -> bool:
    try:
        descriptor = os.open(lock_path(state_dir, _lock_name(job_id)), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
