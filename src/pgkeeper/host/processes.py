"""Child processes that never outlive us, never inherit our secrets, and whose exit status is always asked for."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from pgkeeper.model.errors import OperationFailed

_STOP_SECONDS = 10
_WORDS_LINES = 6
_MESSAGE_BYTES = 64 * 1024
# For a parent that died before the kernel was asked to tell of it, no signal comes: whoever is an orphan already does not begin.
_UNLESS_ORPHAN = '[ "$PPID" = "$0" ] || exit 143; unset PWD; exec "$@"'


class Child:
    """A running program, as a context manager: leaving the block ends the program if it still runs.

    `environment` is all the child gets; it has a session of its own, and so no terminal. The kernel ends the child when our process dies,
    however that happens (PR_SET_PDEATHSIG with `death_signal`, set by setpriv of util-linux, since Python code between fork and exec is
    unsafe beside threads). Start children only from threads that stay: the signal comes when the starting thread ends. What the child says
    on stderr goes to an unnamed file, so it can never block: in memory, or in the directory `messages` for a child that may say more than
    memory should hold.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        stdin: int | IO[bytes] | None = None,
        stdout: int | IO[bytes] | None = None,
        death_signal: Literal["TERM", "KILL"] = "TERM",
        descriptors: Sequence[int] = (),
        messages: Path | None = None,
    ) -> None:
        self.name = Path(arguments[0]).name
        self._stderr = in_memory("stderr") if messages is None else tempfile.TemporaryFile(dir=messages)  # noqa: SIM115 - closed in __exit__
        try:
            self._process = subprocess.Popen(
                bound_to(os.getpid(), death_signal, arguments),
                env=dict(environment),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.DEVNULL if stdout is None else stdout,
                stderr=self._stderr,
                cwd="/",
                pass_fds=descriptors,
                # In a session of its own it has no terminal that it could type into. Ctrl-C reaches us alone, and we end it.
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise OperationFailed(f"cannot start {self.name}", error.strerror or str(error)) from error

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe we read, when `stdout` was PIPE."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def pid(self) -> int:
        """Process id; setpriv replaces itself by the program, so it is the program's."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the program at once. May be called from any thread."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, negative for a signal. Raises OperationFailed when `timeout` seconds pass first."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise OperationFailed(f"{self.name} did not end within {timeout:.0f} s") from None

    def messages(self) -> str:
        """Return what the program said on stderr (its last 64 KiB), without empty lines."""
        end = self._stderr.seek(0, 2)
        self._stderr.seek(max(0, end - _MESSAGE_BYTES))
        text = self._stderr.read().decode("utf-8", "replace")
        return "\n".join(line for line in text.splitlines() if line.strip())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None) -> None:
        """End the program if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()


def bound_to(parent: int, death_signal: Literal["TERM", "KILL"], arguments: Sequence[str | Path]) -> list[str]:
    """Return the command that runs a program as a child of process `parent` for no longer than that lives. Raises OperationFailed."""
    return [_setpriv(), "--pdeathsig", death_signal, "--", "/bin/sh", "-c", _UNLESS_ORPHAN, str(parent), *map(str, arguments)]


def run(
    arguments: Sequence[str | Path], environment: Mapping[str, str], *, timeout: float | None = None, descriptors: Sequence[int] = ()
) -> str:
    """Run a program to its end and return its output as text. Of our open files it gets only `descriptors`.

    Raises OperationFailed with the program's own words when it fails or takes longer than `timeout` seconds.
    """
    return run_and_listen(arguments, environment, timeout=timeout, descriptors=descriptors)[0]


def run_and_listen(
    arguments: Sequence[str | Path], environment: Mapping[str, str], *, timeout: float | None = None, descriptors: Sequence[int] = ()
) -> tuple[str, str]:
    """Run a program as `run` does, and return what it said on stderr as well, as `Child.messages` does."""
    output, messages = run_for_bytes(arguments, environment, timeout=timeout, descriptors=descriptors)
    return output.decode("utf-8", "replace"), messages


def run_for_bytes(
    arguments: Sequence[str | Path], environment: Mapping[str, str], *, timeout: float | None = None, descriptors: Sequence[int] = ()
) -> tuple[bytes, str]:
    """Run a program as `run_and_listen` does, for output that may be in any encoding."""
    with in_memory("stdout") as output, Child(arguments, environment, stdout=output, descriptors=descriptors) as child:
        status = child.wait(timeout)
        if status != 0:
            raise OperationFailed(f"{child.name} failed", describe(child, status))
        output.seek(0)
        return output.read(), child.messages()


def describe(child: Child, status: int) -> str:
    """Return in one line why a child ended as it did: its own words, or the signal."""
    lines = child.messages().split("\n")
    # The error itself, not the context that follows it.
    first = next((number for number, line in enumerate(lines) if "error:" in line.lower()), max(0, len(lines) - _WORDS_LINES))
    words = " ".join(lines[first : first + _WORDS_LINES])
    if status < 0:
        return f"ended by signal {-status}" + (f"; {words}" if words else "")
    return words or f"exit status {status}"


def in_memory(name: str) -> IO[bytes]:
    """Return an unnamed file in memory, for what a child says; `name` is how the kernel calls it."""
    # Not in the directory for temporary files: a kill while Python tries which one it can write to leaves the file it tries with.
    return os.fdopen(os.memfd_create(f"pgkeeper-{name}"), "w+b")


def _setpriv() -> str:
    found = shutil.which("setpriv", path="/usr/bin:/bin:/usr/local/bin")
    if found is None:
        raise OperationFailed("cannot start programs safely", "setpriv (package util-linux) is missing")
    return found
