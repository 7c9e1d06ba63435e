"""What the doctor finds."""

from typing import Literal

from pgkeeper.model.errors import PgkeeperError
from pgkeeper.operations.reports import Message


class Finding(Message):
    """One thing that was looked at. `hint` says what to do where `level` is not `ok`."""

    level: Literal["ok", "warning", "problem"]
    subject: str
    text: str
    hint: str = ""


def problem_found(subject: str, error: PgkeeperError) -> Finding:
    """Return an error as a finding about `subject`."""
    return Finding(level="problem", subject=subject, text=f"{error.what}: {error.why}" if error.why else error.what, hint=error.hint)
