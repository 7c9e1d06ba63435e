"""Jobs in the catalog: what is written of them, and what is read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from pgkeeper.catalog.tables import job_events, jobs
from pgkeeper.model.job import Job, JobEvent

_LOST = "ended without a word: it was killed, or the machine was restarted"


def write_job(connection: Connection, job: Job, events: Sequence[JobEvent]) -> None:
    """Write all that is known of a job, whatever stands there, and add `events` to its log."""
    values = job.model_dump()
    # As a whole at each time: the catalog may be another one than a moment ago.
    if connection.execute(update(jobs).where(_is(job.host, job.job_id)).values(**values)).rowcount == 0:
        connection.execute(insert(jobs).values(**values))
    if events:
        rows = [{"host": job.host, "job_id": job.job_id, **event.model_dump()} for event in events]
        connection.execute(insert(job_events), rows)


def begin_job(connection: Connection, job: Job) -> None:
    """Write a job that begins; one of that name that has ended is forgotten."""
    _forget(connection, job.host, job.job_id)
    write_job(connection, job, ())


def settle_job(connection: Connection, job: Job, now: datetime) -> None:
    """Write that a job is lost, unless it has ended or was begun anew meanwhile. Whoever calls holds the job's lock."""
    running = _is(job.host, job.job_id) & (jobs.c.state == "running") & (jobs.c.started_at == job.started_at)
    if connection.execute(update(jobs).where(running).values(state="lost")).rowcount:
        lost = JobEvent(at=now, kind="error", text=_LOST)
        connection.execute(insert(job_events).values(host=job.host, job_id=job.job_id, **lost.model_dump()))


def read_jobs(connection: Connection, limit: int | None = None, **wanted: str) -> tuple[Job, ...]:
    """Return the jobs whose columns have the `wanted` values, the last started first. One that can't be understood is left out.

    With a `limit` no more than that many: those that run before all others, then the last started.
    """
    query = select(jobs).filter_by(**wanted).order_by(jobs.c.state != "running", jobs.c.started_at.desc(), jobs.c.job_id.desc())
    found = (job for row in connection.execute(query.limit(limit)) if (job := _job(row)) is not None)
    return tuple(sorted(found, key=lambda job: (job.started_at, job.job_id), reverse=True))


def count_jobs(connection: Connection) -> int:
    """Return how many jobs there are."""
    return connection.execute(select(func.count()).select_from(jobs)).scalar_one()


def read_events(connection: Connection, job: Job, after: int = 0) -> tuple[tuple[int, JobEvent], ...]:
    """Return the lines of a job's log with their numbers, those with a number above `after`, in order."""
    query = (
        select(job_events)
        .where(job_events.c.host == job.host, job_events.c.job_id == job.job_id, job_events.c.number > after)
        .order_by(job_events.c.number)
    )
    return tuple((row.number, JobEvent(at=row.at, kind=row.kind, text=row.text)) for row in connection.execute(query))


def forget_jobs_before(connection: Connection, host: str, before: datetime) -> None:
    """Remove the host's jobs that were last heard of before `before`; one that still runs is heard of."""
    old = select(jobs.c.job_id).where(jobs.c.host == host, jobs.c.heartbeat_at < before, jobs.c.state != "running")
    for job_id in connection.execute(old).scalars().all():
        _forget(connection, host, job_id)


def _forget(connection: Connection, host: str, job_id: str) -> None:
    connection.execute(delete(job_events).where(job_events.c.host == host, job_events.c.job_id == job_id))
    connection.execute(delete(jobs).where(_is(host, job_id)))


def _is(host: str, job_id: str) -> ColumnElement[bool]:
    return (jobs.c.host == host) & (jobs.c.job_id == job_id)


def _job(row: Row[Any]) -> Job | None:
    try:
        return Job.model_validate(dict(row._mapping))  # noqa: SLF001 - its public name, for want of a method
    except ValidationError:
        return None
