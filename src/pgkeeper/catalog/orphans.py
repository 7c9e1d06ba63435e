"""Jobs that say they run although nobody does: whoever notices settles them.

A job holds its lock as long as it works, and the kernel frees that when its process ends, however that happens.
"""

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.jobs import read_jobs, settle_job
from pgkeeper.host.locks import exclusive, is_held
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.job import Job

# Whoever settles a job or looks whether it is held holds its lock for a moment.
_GLANCE = timedelta(seconds=1)


def job_lock(state_dir: Path, job_id: str) -> AbstractContextManager[None]:
    """Hold the lock of a job. Raises BusyError while it runs."""
    return exclusive(state_dir, _name(job_id), f"job {job_id}", _GLANCE, once=True)


def read_settled(catalog: Catalog, limit: int | None = None, **wanted: str) -> tuple[Job, ...]:
    """Return jobs as `read_jobs` does, and as they are: those found dead are written down as lost. Raises CatalogUnusable."""
    found = catalog.run(lambda connection: read_jobs(connection, limit, **wanted))
    dead = [job for job in found if _is_dead(catalog, job)]
    if dead:
        for job in dead:
            _settle(catalog, job)
        found = catalog.run(lambda connection: read_jobs(connection, limit, **wanted))
    now = datetime.now(UTC)
    return tuple(_seen(catalog, job, now) for job in found)


def _seen(catalog: Catalog, job: Job, now: datetime) -> Job:
    """Return the job as it is, also where that could not be written down."""
    if job.host != catalog.host:
        return job.seen_from_afar(now)
    return job.model_copy(update={"state": "lost"}) if _is_dead(catalog, job) else job


def _is_dead(catalog: Catalog, job: Job) -> bool:
    return job.state == "running" and job.host == catalog.host and not is_held(catalog.state_dir, _name(job.job_id))


def _settle(catalog: Catalog, job: Job) -> None:
    try:
        # Nobody can begin it anew meanwhile; and if it has ended after all, that stands.
        with job_lock(catalog.state_dir, job.job_id):
            catalog.run(lambda connection: settle_job(connection, job, datetime.now(UTC)), writing=True)
    except PgkeeperError:
        return


def _name(job_id: str) -> str:
    return f"job {job_id}"
