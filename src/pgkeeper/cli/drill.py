"""`pgkeeper drill`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgkeeper.cli.door import JobOption, JsonOption, QuietOption, finish, open_door, work
from pgkeeper.cli.options import DatabasesOption, HostOption, WaitOption
from pgkeeper.cli.say import complain, say
from pgkeeper.cli.summaries import WholeSummaries
from pgkeeper.cli.tables import moment, print_facts, print_table
from pgkeeper.model.counts import count
from pgkeeper.model.drill import PHASES, RECOVERY
from pgkeeper.model.durations import format_duration
from pgkeeper.model.sizes import format_size
from pgkeeper.off_site_settings import OffSite

if TYPE_CHECKING:
    from pgkeeper.operations.drill_report import DrillOutcome, DrillReport

app = typer.Typer(cls=WholeSummaries, help="Drills: bring everything back from the bucket and the key alone, and see how long that takes.")


@app.callback()
def _group() -> None:
    """Drills: bring everything back from the bucket and the key alone, and see how long that takes."""


@app.command("run")
def run_command(
    source: Annotated[OffSite, typer.Option("--from", help="From where: the bucket, or its replica.")] = "cloud",
    host: HostOption = "",
    database: DatabasesOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the restored databases there, open; without it they are dropped.")] = False,
    trust_database: Annotated[
        bool, typer.Option("--trust-database", help="Let superusers restore everything: the database's own code then runs as one.")
    ] = False,
    wait: WaitOption = None,
    job: JobOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find, fetch, prove and restore the newest copy of each database off site, and keep the protocol.

    Nothing is written to the bucket. Databases are restored under their own names, or where those are taken as <name>_drill_<time>.
    """
    from pgkeeper.operations.drill import drill
    from pgkeeper.operations.drill_report import DrillReport, DrillRequest

    door = open_door(json=json, quiet=quiet)
    request = DrillRequest(
        source=source, host=host, databases=tuple(database or ()), keep=keep, trust_database=trust_database, wait=wait or timedelta()
    )
    report = work(door, "drill", job, DrillReport, lambda progress: drill(request, door.settings, progress))
    door.show("drill", report, lambda: _show(report))
    for outcome in report.outcomes:
        if outcome.error is not None:
            complain(f"{outcome.database}: {outcome.error}")
    if report.error is not None:
        complain(str(report.error))
    finish(report.exit_status)


@app.command("list")
def list_command(json: JsonOption = False) -> None:
    """List the drills that were made on this host, the last first."""
    from pgkeeper.operations.drills import list_drills

    door = open_door(json=json)
    found = list_drills(door.settings)
    door.show("drill-list", found, lambda: _show_list(found.drills))


@app.command("show")
def show_command(
    drill_id: Annotated[str, typer.Argument(metavar="ID", help="The drill's id.")],
    json: JsonOption = False,
) -> None:
    """Show the protocol of a drill."""
    from pgkeeper.operations.drills import one_drill

    door = open_door(json=json)
    report = one_drill(door.settings, drill_id)
    door.show("drill", report, lambda: _show(report))


def _show_list(drills: "tuple[DrillReport, ...]") -> None:
    if not drills:
        say("No drill was made on this host yet.")
        return
    columns = ("DRILL", "OF", "RESULT", "DATABASES", "RECOVERY", "AGE OF DATA")
    rows = [
        (
            report.drill_id,
            report.host,
            _result(passed=report.passed),
            str(len(report.outcomes)),
            _duration(report.recovery_seconds),
            _duration(report.age_seconds),
        )
        for report in drills
    ]
    print_table(columns, rows, right=columns[3:])


def _show(report: "DrillReport") -> None:
    of_recovery = ", ".join(f"{phase} {format_duration(report.phases[phase])}" for phase in RECOVERY if phase in report.phases)
    compared = [outcome.rows for outcome in report.outcomes if outcome.status == "done" and outcome.rows is not None]
    listing = {True: "lists as before, every key, size and time", False: "changed", None: "not known"}[report.unchanged]
    print_facts(
        [
            ("drill", report.drill_id),
            ("result", _result(passed=report.passed)),
            ("of host", f"{report.host}, {count(report.copies, 'copy', 'copies')} in {report.where}"),
            ("done on", f"{report.drilled_on}, PostgreSQL {report.server_version}"),
            ("begun", moment(report.started_at)),
            ("took", format_duration(report.seconds)),
            ("recovery", f"{_duration(report.recovery_seconds)} ({of_recovery})" if of_recovery else "-"),
            ("age of data", _duration(report.age_seconds)),
            ("compared", f"{count(sum(compared), 'row')} in {count(len(compared), 'database')}"),
            ("the bucket", listing),
        ]
    )
    if report.outcomes:
        say()
        columns = (
            "DATABASE",
            "BACKUP",
            "RESULT",
            *(phase.upper() for phase in PHASES[:-1]),
            "RECOVERY",
            "AGE",
            "FETCHED",
            "TABLES",
            "ROWS",
        )
        print_table(columns, [_row(outcome) for outcome in report.outcomes], right=columns[3:])
    remarks = [f"{outcome.database} is there as {outcome.target}" for outcome in report.outcomes if outcome.kept]
    remarks += [f"warning: {outcome.database}: {warning}" for outcome in report.outcomes for warning in outcome.warnings]
    remarks += [f"warning: {warning}" for warning in report.warnings]
    remarks += [f"failed: {outcome.database}: {outcome.error}" for outcome in report.outcomes if outcome.error]
    remarks += [f"failed: {report.error}"] if report.error else []
    if remarks:
        say()
    for remark in remarks:
        say(remark)


def _row(outcome: "DrillOutcome") -> tuple[str, ...]:
    return (
        outcome.database,
        outcome.backup_id,
        _result(passed=outcome.status == "done"),
        *(_duration(outcome.phases.get(phase)) for phase in PHASES[:-1]),
        _duration(outcome.recovery_seconds),
        _duration(outcome.age_seconds),
        format_size(outcome.size_bytes),
        _count(outcome.tables),
        _count(outcome.rows),
    )


def _result(*, passed: bool) -> str:
    return "passed" if passed else "failed"


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(seconds)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)
