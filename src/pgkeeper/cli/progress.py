"""Showing how far an operation is: a bar on a terminal, plain lines elsewhere, always on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgkeeper.cli.say import plain
from pgkeeper.model.durations import format_duration
from pgkeeper.model.progress import Progress
from pgkeeper.model.sizes import format_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def watcher() -> Iterator[Progress]:
    """Yield the watcher that fits stderr."""
    if not sys.stderr.isatty():
        yield LineProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield TerminalProgress(bar)


class TerminalProgress:
    """Progress as a bar with rate and time left."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def phase(self, name: str) -> None:
        """Begin a new bar."""
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(plain(name), total=None)

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done_bytes, total=total_bytes)

    def note(self, text: str) -> None:
        """Print a remark above the bar."""
        self._bar.console.print(plain(text), markup=False, highlight=False)


class LineProgress:
    """Progress as a line per phase, and one every ten seconds within it."""

    def __init__(self) -> None:
        self._name = ""
        self._began = self._spoke = time.monotonic()

    def phase(self, name: str) -> None:
        """Name the phase."""
        self._name = name
        self._began = self._spoke = time.monotonic()
        self.note(name)

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Say now and then how far it is."""
        now = time.monotonic()
        if now - self._spoke < _SECONDS_BETWEEN_LINES:
            return
        self._spoke = now
        rate = done_bytes / (now - self._began)
        parts = [self._name, format_size(done_bytes)]
        if total_bytes:
            parts.append(f"{100 * done_bytes / total_bytes:.0f} %")
        parts.append(f"{format_size(rate)}/s")
        if total_bytes and rate > 0:
            parts.append(f"{format_duration((total_bytes - done_bytes) / rate)} left")
        self.note(" · ".join(parts))

    def note(self, text: str) -> None:
        """Print a line."""
        print(plain(text), file=sys.stderr, flush=True)
