"""`pgkeeper job`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.say import say
from pgkeeper.cli.summaries import WholeSummaries
from pgkeeper.cli.tables import moment, print_facts, print_table
from pgkeeper.model.durations import format_duration
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from pgkeeper.model.job import Job, JobEvent
    from pgkeeper.operations.jobs import JobList

_REASON_WIDTH = 100

app = typer.Typer(cls=WholeSummaries, help="What pgkeeper does and did: every backup, check, restore and expiry is a job.")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]


@app.command("list")
def list_command(
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=0, help="List the last so many; what runs is never left out for them. 0: all.")
    ] = 50,
    json: JsonOption = False,
) -> None:
    """List jobs, the last started first."""
    from pgkeeper.operations.jobs import list_jobs

    door = open_door(json=json)
    found = list_jobs(door.settings, limit or None)
    door.show("job-list", found, lambda: _show_list(found))


@app.command("show")
def show_command(job_id: IdArgument, json: JsonOption = False) -> None:
    """Show how far a job is, or how it ended."""
    from pgkeeper.operations.jobs import one_job

    door = open_door(json=json)
    job = one_job(door.settings, job_id)
    door.show("job", job, lambda: _show(job))


@app.command("log")
def log_command(
    job_id: IdArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what a job said."""
    from pgkeeper.operations.jobs import job_log

    door = open_door(json=json)
    said: list[JobEvent] = []
    state = ""
    for job, events in job_log(door.settings, job_id, follow=follow):
        said.extend(events)
        state = job.state
        for event in () if json else events:
            say(f"{moment(event.at)}  {event.kind:<7}  {event.text}")
    lines = [event.model_dump(mode="json") for event in said]
    door.show("job-log", {"job_id": job_id, "state": state, "events": lines}, lambda: None)


def _show_list(found: "JobList") -> None:
    jobs = found.jobs
    if not jobs:
        say("There is no job yet; every backup, check, restore and expiry is one.")
        return
    fleet = len({job.host for job in jobs}) > 1
    columns = ("JOB", *(("HOST",) if fleet else ()), "STATE", "STARTED", "TOOK", "PHASE OR ERROR")
    rows = [
        (
            job.job_id,
            *((job.host,) if fleet else ()),
            job.state,
            moment(job.started_at),
            _took(job),
            _progress(job) if job.state == "running" else _short("; ".join(job.reasons)),
        )
        for job in jobs
    ]
    print_table(columns, rows, right=("TOOK",))
    if found.older:
        say(f"{found.older} older ones are not shown; --limit 0 lists all.")


def _show(job: "Job") -> None:
    facts = [
        ("job", job.job_id),
        ("does", job.operation),
        ("on", f"{job.host}, process {job.pid}"),
        ("state", job.state),
        ("phase", _progress(job)),
        ("started", moment(job.started_at)),
        ("heard of", moment(job.heartbeat_at)),
        ("ended", moment(job.finished_at) if job.finished_at else ""),
        ("took", _took(job)),
        *(("error", reason) for reason in job.reasons),
    ]
    print_facts((name, value) for name, value in facts if value)


def _progress(job: "Job") -> str:
    if not job.done_bytes:
        return job.phase
    of = f" of {format_size(job.total_bytes)}" if job.total_bytes else ""
    return f"{job.phase}, {format_size(job.done_bytes)}{of}"


def _short(reason: str) -> str:
    """Return a reason that fits a line of the list; `job show` has all of it."""
    return reason if len(reason) <= _REASON_WIDTH else f"{reason[: _REASON_WIDTH - 1]}…"


def _took(job: "Job") -> str:
    end = job.finished_at or (datetime.now(UTC) if job.state == "running" else job.heartbeat_at)
    return format_duration(max(0.0, (end - job.started_at).total_seconds()))
