"""`pgkeeper doctor`."""

from typing import TYPE_CHECKING

from pgkeeper.cli.door import JsonOption, finish, open_door
from pgkeeper.cli.tables import print_table

if TYPE_CHECKING:
    from pgkeeper.operations.doctor import DoctorReport


def command(json: JsonOption = False) -> None:
    """Look for everything that would keep a backup or a restore from working."""
    from pgkeeper.operations.doctor import doctor

    door = open_door(json=json)
    report = doctor(door.settings)
    door.show("doctor", report, lambda: _show(report))
    finish(report.exit_status)


def _show(report: "DoctorReport") -> None:
    marks = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM"}
    rows = [
        (marks[finding.level], finding.subject, finding.text + (f" ({finding.hint})" if finding.hint else ""))
        for finding in report.findings
    ]
    print_table(("", "SUBJECT", "FINDING"), rows)
