"""The base of all requests and reports: frozen, typed, and JSON at every door."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.errors import ErrorInfo


class Message(BaseModel):
    """A request to an operation, or its report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def shared_status(errors: Iterable[ErrorInfo | None]) -> int:
    """Return 0 when there is no error, else the exit status all errors share, or 1 when they differ."""
    statuses = {error.exit_status for error in errors if error is not None}
    return statuses.pop() if len(statuses) == 1 else int(bool(statuses))
