"""Calling pgBackRest.

Its options come from the configuration file and what is said here, never from the environment; secrets stand in the file alone.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal

from pgkeeper.host.processes import Child, in_memory
from pgkeeper.model.errors import ConfigurationError, OperationFailed
from pgkeeper.pgbackrest.next_step import next_step

_ERROR = re.compile(r"^(?:\S+ \S+ +P\d+ +)?(?:ERROR|ASSERT): \[(\d{3})\]: (.*)$")
_CAUSE = re.compile(r"\[\w+Error\]")
_WARNING = re.compile(r"^(?:\S+ \S+ +P\d+ +)?WARN: (.*)$")
IMPATIENT = "--io-timeout=10"
"""For questions that somebody waits for: pgBackRest would try each of several files for a minute at a store that is out of reach."""
_LAST_SECONDS = 60.0
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

LogLevel = Literal["off", "info", "detail"]


class PgBackRestFailed(OperationFailed):
    """pgBackRest ended with an error; `code` is its number (its user guide, "Errors"; 0 where it gave none)."""

    def __init__(self, what: str, why: str, hint: str = "", code: int = 0) -> None:
        super().__init__(what, why, hint)
        self.code = code


@dataclass(frozen=True)
class PgBackRest:
    """pgBackRest with a configuration, for one cluster (its stanza).

    `attached` is a directory with the configuration of repositories that can be detached, `*.conf`; it may be empty.
    """

    config_file: Path
    attached: Path
    stanza: str

    def arguments(self, command: str, *options: str, console: LogLevel = "off") -> list[str]:
        """Return the command line of a call that logs on stdout as much as `console` says.

        Raises ConfigurationError (exit status 3) where pgBackRest or its configuration is missing.
        """
        program = shutil.which("pgbackrest", path=_ENVIRONMENT["PATH"])
        if program is None:
            raise ConfigurationError("pgBackRest is not installed", "", "deploy with role pgkeeper_wal, or install package pgbackrest")
        if not self.config_file.exists():
            raise ConfigurationError(f"pgBackRest has no configuration {self.config_file}", "", "deploy with role pgkeeper_wal")
        where = [f"--config={self.config_file}", f"--config-include-path={self.attached}", f"--stanza={self.stanza}"]
        return [program, *where, f"--log-level-console={console}", "--log-level-stderr=warn", command, *options]

    def output(self, command: str, *options: str, timeout: float) -> str:
        """Run a command to its end and return what it printed.

        Raises PgBackRestFailed when it fails, OperationFailed when it takes longer than `timeout` seconds.
        """
        with in_memory("stdout") as output, Child(self.arguments(command, *options), _ENVIRONMENT, stdout=output) as child:
            status = child.wait(timeout)
            if status != 0:
                raise failure(command, status, child.messages().splitlines(), self._next_step)
            output.seek(0)
            return output.read().decode("utf-8", "replace")

    def told(self, command: str, *options: str, line: Callable[[str], None], console: LogLevel = "detail") -> tuple[str, ...]:
        """Run a long command to its end, and pass on each line of its log. Returns its warnings.

        How long it may take is not limited: pgBackRest gives up by its own timeouts what does not move (io, db and protocol-timeout).
        Raises PgBackRestFailed when it fails.
        """
        with Child(self.arguments(command, *options, console=console), _ENVIRONMENT, stdout=subprocess.PIPE) as child:
            for said in child.stdout:
                line(said.decode("utf-8", "replace").rstrip("\n"))
            status = child.wait(_LAST_SECONDS)
            messages = child.messages().splitlines()
            if status != 0:
                raise failure(command, status, messages, self._next_step)
            return tuple(found[1] for message in messages if (found := _WARNING.match(message)))

    def _next_step(self, code: int, why: str) -> str:
        return next_step(self.config_file, self.attached, self.stanza, code, why)


def failure(
    command: str, status: int, lines: Sequence[str], next_step: Callable[[int, str], str] = lambda _code, _why: ""
) -> PgBackRestFailed:
    """Return what to tell the owner of a command that failed, from what it said; `next_step` makes of its number and cause what to do.

    The cause often stands beside the error: in a warning before it (`[DbConnectError] …`), or in the lines below it.
    """
    for number, line in enumerate(lines):
        if found := _ERROR.match(line):
            below = _told_below(lines[number + 1 :])
            hints = [more.removeprefix("HINT:").strip() for more in below if more.startswith("HINT:")]
            details = [more for more in below if not more.startswith("HINT:")]
            warned = [" ".join([warning[1], *_told_below(lines[at + 1 : number])]) for at, warning in _causes(lines[:number])]
            why = "; ".join([found[2].rstrip(":"), *details, *warned])
            code = int(found[1])
            return PgBackRestFailed(f"pgbackrest {command} failed", why, next_step(code, why) or "; ".join(hints), code)
    return PgBackRestFailed(f"pgbackrest {command} failed", " ".join(lines[-3:]) or f"exit status {status}")


def _causes(lines: Sequence[str]) -> list[tuple[int, re.Match[str]]]:
    return [(at, found) for at, line in enumerate(lines) if (found := _WARNING.match(line)) and _CAUSE.search(found[1])]


def _told_below(lines: Sequence[str]) -> list[str]:
    """Return the lines that belong to the message above them; what an ASSERT asks to be reported to its makers does not."""
    told = takewhile(lambda line: line[:1].isspace() and not line.strip().startswith("-----"), lines)
    return [line.strip() for line in told if line.strip()]
