"""A terminal in which root types, with a real shell or without one."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .processes import children_of, command_line, is_alive
from .product import Pgkeeper
from .user import service_ids
from .waiting import wait_until

# An interactive shell gives each job a process group of its own, and reads the terminal again behind it.
# What stays there has nothing of pgkeeper's environment any more by the time it says how pgkeeper ended.
_SAYS_AND_STAYS = """exec env -i sh -c "echo ended with $?; exec cat\""""
SHELL = ("/bin/bash", "--norc", "--noprofile", "-i", "-c", f'"$@"; {_SAYS_AND_STAYS}', "bash")
IN_BACKGROUND = (*SHELL[:5], f'"$@" & wait $!; {_SAYS_AND_STAYS}', "bash")
ALONE = ()
COLUMNS = 100
"""How wide a terminal is at first."""
_ROWS = 24


class Terminal:
    """A command of root's on a terminal of its own, below a shell or, with ALONE, as the terminal's first process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], shell: Sequence[str] = SHELL) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(COLUMNS)
        self.process = subprocess.Popen(
            ["/usr/bin/setsid", "--ctty", "--wait", *shell, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd="/",
            env={"TERM": "xterm", **environment},
        )
        os.close(theirs)
        self._seen: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the last one has closed the terminal
            while piece := os.read(self._ours, 4096):
                self._seen.append(piece.decode("utf-8", "replace"))

    def ended(self) -> str:
        """All that has appeared on it, once its command has ended."""
        self.process.wait(60)
        self._reader.join(10)
        return self.shown

    @property
    def shown(self) -> str:
        """All that has appeared on it."""
        return "".join(self._seen)

    def wait_for(self, text: str) -> None:
        """Wait until a text has appeared."""
        wait_until(lambda: text in self.shown or None, f"{text!r} on the terminal")

    def resize(self, columns: int) -> None:
        """Make it wider or narrower; the kernel tells whoever is in the foreground there (SIGWINCH, tty_ioctl(4))."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))

    def press(self, text: str) -> None:
        """Type something on its keys."""
        os.write(self._ours, text.encode())

    def child(self, name: str) -> int:
        """Process id of a program called `name` that belongs to user postgres, as soon as there is one."""

        def find() -> int | None:
            found = [pid for pid, command in children_of(self.process.pid) if command == name and self._is_theirs(pid)]
            return found[0] if found else None

        try:
            return int(wait_until(find, f"{name} on the terminal") or 0)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.shown}") from None

    def pgkeeper(self) -> int:
        """Process id of the pgkeeper that has become user postgres."""

        def find() -> int | None:
            found = [pid for pid, _ in children_of(self.process.pid) if "-m pgkeeper" in command_line(pid) and self._is_theirs(pid)]
            return found[0] if found else None

        return int(wait_until(find, "pgkeeper as user postgres") or 0)

    @staticmethod
    def _is_theirs(pid: int) -> bool:
        with suppress(OSError):
            # Its files in /proc are root's where it can't be looked into.
            return f"Uid:\t{service_ids()[0]}\t" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None) -> None:
        """End whatever still runs there, pgkeeper in its own way."""
        ours = [pid for pid, _ in children_of(self.process.pid) if "-m pgkeeper" in command_line(pid) and self._is_theirs(pid)]
        for pid in ours:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not any(map(is_alive, ours)), "the end of pgkeeper on the terminal")
        for pid in [pid for pid, _ in children_of(self.process.pid)] + [self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(10)
        os.close(self._ours)


def root_types(pgkeeper: Pgkeeper, *arguments: str, shell: Sequence[str] = SHELL) -> Terminal:
    """A terminal on which root has typed a call of pgkeeper."""
    return Terminal([sys.executable, "-m", "pgkeeper", *arguments], pgkeeper.environment(), shell)
