"""`pgkeeper status`."""

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from pgkeeper.cli.door import JsonOption, finish, open_door
from pgkeeper.cli.say import plain, say
from pgkeeper.cli.tables import moment, print_coloured, print_table
from pgkeeper.model.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pgkeeper.operations.known_window import KnownWindow
    from pgkeeper.operations.status import DatabaseStatus, StatusFinding, StatusReport


def command(json: JsonOption = False) -> None:
    """Say what can be had back, and what needs you. Exit status 0 when nothing does, 1 otherwise."""
    from pgkeeper.operations.status import status

    door = open_door(json=json)
    report = status(door.settings)
    door.show("status", report, lambda: _show(report))
    finish(report.exit_status)


def _show(report: "StatusReport") -> None:
    print_coloured(report.summary, "bold red" if report.problems else "bold green")
    for finding in report.problems:
        _say_finding(finding)
    if report.databases:
        say()
        columns = _columns(report)
        rows = [_row(database, report)[: len(columns)] for database in report.databases]
        print_table(columns, rows)
    for line in _windows(report):
        say(line)
    remarks = [finding for finding in report.findings if finding.level == "remark"]
    if remarks:
        say()
    for finding in remarks:
        _say_finding(finding)


def _windows(report: "StatusReport") -> "Iterator[str]":
    """Yield a line for each stretch of time in which any second can be brought back, with the repositories that have it."""
    if report.windows:
        yield ""
    places: dict[tuple[datetime, datetime], list[KnownWindow]] = {}
    for known in report.windows:
        places.setdefault((known.begins_at, known.ends_at), []).append(known)
    for (begins_at, ends_at), found in places.items():
        repositories = ", ".join(known.repository for known in found)
        age = format_duration(max(0.0, (report.checked_at - min(known.checked_at for known in found)).total_seconds()))
        yield f"Any second from {moment(begins_at)} to {moment(ends_at)} can be brought back ({repositories}), as of {age} ago."


def _columns(report: "StatusReport") -> tuple[str, ...]:
    off_site = ("OFF SITE",) if any(database.off_site_to for database in report.databases) else ()
    return ("DATABASE", "RECOVERABLE TO (UTC)", "AGE", "PROVEN", "RESTORE TAKES", *off_site)


def _row(database: "DatabaseStatus", report: "StatusReport") -> tuple[str, ...]:
    several = len({other.cluster for other in report.databases}) > 1
    proven = database.proven_at
    return (
        f"{database.cluster}/{database.database}" if several else database.database,
        f"{database.recoverable_to:%Y-%m-%d %H:%M:%S}" if database.recoverable_to else "NOTHING",
        format_duration(max(0.0, database.age_seconds)) if database.age_seconds is not None else "",
        f"{format_duration((report.checked_at - proven).total_seconds())} ago" if proven else "never",
        format_duration(database.recovery_seconds) if database.recovery_seconds is not None else "?",
        f"{format_duration((report.checked_at - database.off_site_to).total_seconds())} old" if database.off_site_to else "no",
    )


def _say_finding(finding: "StatusFinding") -> None:
    """Say it; on a terminal in lines that fit."""
    about = f"{finding.database}: " if finding.database else ""
    lines = [(f"  {about}{finding.text}", "    "), *([(f"      {finding.hint}", "      ")] if finding.hint else [])]
    for text, indent in lines:
        if sys.stdout.isatty():
            width = max(40, shutil.get_terminal_size().columns)
            for line in textwrap.wrap(plain(text), width, subsequent_indent=indent, break_on_hyphens=False):
                say(line)
        else:
            say(text)
