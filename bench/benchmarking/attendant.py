"""The parent of the run's servers, in a process of its own, which outlives a killed run for as long as it takes to end them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import BenchmarkError
from .user import as_postgres
from .workspace import Workspace

_PROGRAM = Path(__file__).with_name("left_running.py")


class Server:
    """A server that was started, by its process id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    def ended(self, seconds: float = 0) -> bool:
        """Tell whether it has ended, or does within some seconds."""
        return bool(select.select([self._handle], [], [], seconds)[0])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)


class Attendant:
    """The process, as a context manager; at the end, and when we are killed, it kills what still works in the workspace."""

    def __init__(self, workspace: Workspace, python: Path) -> None:
        """`python` runs the process, as postgres."""
        self._directory = workspace.path
        self._python = python
        self._process: subprocess.Popen[str] | None = None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Server:
        """Start a server as postgres, with this environment and no more. Raises BenchmarkError."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        pid = self._process.stdout.readline()
        if not pid:
            raise BenchmarkError(f"{Path(arguments[0]).name} could not be started; see what {_PROGRAM} says")
        return Server(int(pid))

    def __enter__(self) -> Self:
        """Start the process."""
        self._process = subprocess.Popen(
            [str(self._python), "-P", str(_PROGRAM), str(self._directory)],
            **as_postgres(),
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None) -> None:
        """Have it kill what is left, and end."""
        if self._process is not None:
            self._process.communicate()
