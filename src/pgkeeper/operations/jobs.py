"""Jobs: doing long work so that others can follow it, and following it."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from pgkeeper.catalog.errors import CatalogUnusable
from pgkeeper.model.errors import ErrorInfo, OperationFailed, PgkeeperError, UsageError
from pgkeeper.model.job import Job, JobEvent, Kind, new_job_id, require_job_id
from pgkeeper.model.progress import Progress
from pgkeeper.operations.places import catalog
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings

if TYPE_CHECKING:
    from pgkeeper.catalog.recorder import JobRecorder

Report = TypeVar("Report", bound=BaseModel)
_SECONDS_BETWEEN_LOOKS = 0.5


def as_job(
    settings: Settings, operation: str, job_id: str | None, shape: type[Report], progress: Progress, work: Callable[[Progress], Report]
) -> Report:
    """Do `work` as a job, named `job_id` or by itself, and return its report.

    A job that was done before is not done again: its report (a `shape`) is returned. Without a catalog the work is done all the same, and
    not recorded. Raises BusyError while a job of that name runs, UsageError when the name is another operation's, and whatever the work
    raises; the job then holds the error.
    """
    from pgkeeper.catalog.orphans import job_lock
    from pgkeeper.catalog.recorder import JobRecorder

    known = catalog(settings)
    if job_id is not None and (report := _done_before(settings, operation, require_job_id(job_id), shape)) is not None:
        return report
    now = datetime.now(UTC)
    name = job_id or new_job_id(operation, now, secrets.token_hex(3))
    with ExitStack() as stack:
        try:
            stack.enter_context(job_lock(settings.state_dir, name))
            job = Job(job_id=name, host=known.host, pid=os.getpid(), operation=operation, state="running", started_at=now, heartbeat_at=now)
        except OperationFailed as error:
            known.give_up(CatalogUnusable(f"in {settings.state_dir}", f"{error.what}: {error.why}", error.hint))
            return work(progress)
        # Whoever held the lock may just have done it.
        if job_id is not None and (report := _done_before(settings, operation, job_id, shape)) is not None:
            return report
        return _recorded(JobRecorder(known, job, progress), operation, work)


def _done_before(settings: Settings, operation: str, job_id: str, shape: type[Report]) -> Report | None:
    """Return the report of a job that is done; None where there is none, or nobody knows."""
    known = catalog(settings)
    if known.problem:
        return None
    try:
        job = own_job(settings, job_id)
    except CatalogUnusable as error:
        known.give_up(error)
        return None
    if job is not None and job.operation != operation:
        raise UsageError(f"job {job_id} was another one", f"a {job.operation}", "choose another id")
    if job is None or job.state != "done":
        return None
    try:
        return shape.model_validate(job.result)
    except ValidationError:
        # A report of an older release may lack what this one's has; then the work is done again.
        return None


def _recorded(recorder: "JobRecorder", operation: str, work: Callable[[Progress], Report]) -> Report:
    try:
        report = work(recorder)
    except PgkeeperError as error:
        recorder.remark("error", str(error))
        recorder.finish(None, error.info, failed=True)
        raise
    except BaseException as error:
        # The command line names the signal that ended the work.
        stopped = isinstance(error, KeyboardInterrupt)
        why = str(error) or type(error).__name__
        info = ErrorInfo(what=why) if stopped else ErrorInfo(what=f"{operation} failed", why=why)
        recorder.remark("error", str(info))
        recorder.finish(None, info, failed=True)
        raise
    for kind, text in _remarks(report):
        recorder.remark(kind, text)
    recorder.finish(report.model_dump(mode="json"), None, failed=bool(getattr(report, "exit_status", 0)))
    return report


def _remarks(report: BaseModel) -> Iterator[tuple[Kind, str]]:
    """Yield what a report warns of and what failed in it, as the command line says it."""
    for outcome in getattr(report, "outcomes", ()):
        for warning in getattr(outcome, "warnings", ()):
            yield "warning", f"{getattr(outcome, 'database', None) or outcome.repository}: {warning}"
        if outcome.error is not None:
            yield "error", str(outcome.error)
    for warning in getattr(report, "warnings", ()):
        yield "warning", warning
    for problem in getattr(report, "problems", ()):
        yield "error", problem
    if (error := getattr(report, "error", None)) is not None:
        yield "error", str(error)
    if problem := getattr(report, "archive_problem", ""):
        yield "error", f"production runs, but its log is not archived: {problem}"


class JobList(Message):
    """Jobs of the whole fleet, the last started first. `older` counts those that were left out."""

    jobs: tuple[Job, ...]
    older: int


def list_jobs(settings: Settings, limit: int | None = None) -> JobList:
    """Return the jobs that the catalog remembers, with a `limit` the last so many; those that run come before all others.

    Those of this host that died are settled. Raises CatalogUnusable.
    """
    from pgkeeper.catalog.jobs import count_jobs
    from pgkeeper.catalog.orphans import read_settled

    known = catalog(settings)
    found = read_settled(known, limit)
    return JobList(jobs=found, older=max(0, known.run(count_jobs) - len(found)) if limit is not None else 0)


def own_jobs(settings: Settings) -> tuple[Job, ...]:
    """Return all jobs of this host that the catalog remembers, settled as by `list_jobs`. Raises CatalogUnusable."""
    from pgkeeper.catalog.orphans import read_settled

    known = catalog(settings)
    return read_settled(known, host=known.host)


def own_job(settings: Settings, job_id: str) -> Job | None:
    """Return a job of this host, settled if it died. Raises CatalogUnusable, or UsageError for what is no id."""
    from pgkeeper.catalog.orphans import read_settled

    known = catalog(settings)
    return next(iter(read_settled(known, host=known.host, job_id=require_job_id(job_id))), None)


def find_job(settings: Settings, job_id: str) -> Job | None:
    """Return a job: of this host, or else the last of that name on another. Raises CatalogUnusable, or UsageError for what is no id."""
    from pgkeeper.catalog.orphans import read_settled

    found = read_settled(catalog(settings), job_id=require_job_id(job_id))
    own = [job for job in found if job.host == catalog(settings).host]
    return next(iter([*own, *found]), None)


def one_job(settings: Settings, job_id: str) -> Job:
    """Return a job as `find_job` does. Raises UsageError (exit status 2) when there is none."""
    job = find_job(settings, job_id)
    if job is None:
        raise UsageError(f"there is no job {job_id}", "", "`pgkeeper job list` shows what the catalog remembers")
    return job


def job_log(settings: Settings, job_id: str, *, follow: bool = False) -> Iterator[tuple[Job, tuple[JobEvent, ...]]]:
    """Yield a job and the lines of its log: once; with `follow` again, with what is new, whenever there is, until the job has ended.

    Raises CatalogUnusable, or UsageError when there is no such job.
    """
    from pgkeeper.catalog.jobs import read_events

    last, ended = 0, False
    job = one_job(settings, job_id)
    while not ended:
        # In this order: what was said before the job ended is then there.
        ended = not follow or job.state != "running"
        found = catalog(settings).run(lambda connection, last=last, job=job: read_events(connection, job, last))  # type: ignore[misc]
        if found or ended:
            yield job, tuple(event for _, event in found)
        last = found[-1][0] if found else last
        if not ended:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            job = one_job(settings, job_id)


def forget_jobs(settings: Settings, before: datetime) -> None:
    """Remove this host's jobs that were last heard of before `before`. Without a catalog there is nothing to forget."""
    from pgkeeper.catalog.jobs import forget_jobs_before

    known = catalog(settings)
    known.tried(lambda connection: forget_jobs_before(connection, known.host, before), None, writing=True)
