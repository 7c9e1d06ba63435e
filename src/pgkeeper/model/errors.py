"""Errors as the owner meets them: what happened, why, and what to do next.

Each class carries the exit status that the command line documents, so that a door never has to guess.
"""

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, field_validator


class ErrorInfo(BaseModel):
    """An error as data, for reports and `--json`."""

    model_config = ConfigDict(frozen=True)

    what: str
    why: str = ""
    hint: str = ""
    exit_status: int = 1

    @field_validator("what", "why", "hint")
    @classmethod
    def _one_line(cls, value: str) -> str:
        """Fold line breaks, which other programs' messages hold: each part is also shown alone, and a line break shown as an escape."""
        return re.sub(r"\s*[\r\n]+\s*", " ", value).strip()

    def __str__(self) -> str:
        """Return the one line that is shown: what, why, what to do."""
        parts = [self.what]
        if self.why:
            parts.append(f": {self.why}")
        if self.hint:
            parts.append(f" ({self.hint})")
        return " ".join("".join(parts).split())


class PgkeeperError(Exception):
    """Base of every error that is meant to be read by the owner.

    `what` says what failed, `why` the cause as far as known, `hint` the next step. None of them may hold a secret.
    """

    exit_status = 1

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.info = ErrorInfo(what=what, why=why, hint=hint, exit_status=self.exit_status)

    @property
    def what(self) -> str:
        """What failed."""
        return self.info.what

    @property
    def why(self) -> str:
        """The cause, as far as known."""
        return self.info.why

    @property
    def hint(self) -> str:
        """The next step."""
        return self.info.hint

    def hinting(self, more: str) -> Self:
        """Return the same error with a further next step."""
        return type(self)(self.what, self.why, "; ".join(part for part in (self.hint, more) if part))

    def __str__(self) -> str:
        """Return the one line that is shown."""
        return str(self.info)


class OperationFailed(PgkeeperError):
    """The work was tried and failed (exit status 1)."""


class UsageError(PgkeeperError):
    """The call itself is wrong (exit status 2)."""

    exit_status = 2


class ConfigurationError(PgkeeperError):
    """Settings or the installation are wrong (exit status 3)."""

    exit_status = 3


class IntegrityError(PgkeeperError):
    """Something is damaged, tampered with, or not what it claims to be (exit status 4)."""

    exit_status = 4


class BackupGoneError(IntegrityError):
    """A backup was removed when somebody was about to use it (exit status 2, as for one that never was).

    Whoever only asks whether a backup can be used need not tell it from a damaged one.
    """

    exit_status = 2


class UncheckedError(IntegrityError):
    """A backup could not be looked at, because of the host or its settings (exit status 1): this says nothing about the backup.

    Whoever only asks whether a backup can be used need not tell it from a damaged one.
    """

    exit_status = 1


class UnknownKeyError(UncheckedError):
    """This host does not have the key of what it should open (exit status 4, as documented for a wrong key)."""

    exit_status = 4


class BusyError(PgkeeperError):
    """Somebody else holds what is needed (exit status 5)."""

    exit_status = 5


class RefusedError(PgkeeperError):
    """Going on would endanger data (exit status 6)."""

    exit_status = 6


def is_damage(error: BaseException) -> bool:
    """Tell whether an error says that a backup is damaged, rather than that it is gone or could not be looked at."""
    return isinstance(error, IntegrityError) and not isinstance(error, BackupGoneError | UncheckedError)
