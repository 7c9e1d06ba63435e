"""Threads whose work is waited for in a way that survives an interruption.

Locks of `concurrent.futures` are held by Python code for a moment: by `wait` those of all futures, by `submit` that of the idle threads. A
signal that is handled in that moment leaves them held; then no thread can end any more, and whoever waits for the threads waits for
ever. A SimpleQueue has no lock that Python code holds.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Self


class Workers:
    """So many threads; leaving the `with` block waits until what was begun has ended."""

    def __init__(self, count: int) -> None:
        self._work: SimpleQueue[tuple[int, Callable[[], object]] | None] = SimpleQueue()
        self._ended: SimpleQueue[tuple[int, BaseException | None]] = SimpleQueue()
        # Daemons: an interruption while they are started keeps no process alive.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def begin(self, number: int, work: Callable[[], object]) -> None:
        """Call `work` in a thread; `number` is what `next_ended` says of it."""
        self._work.put((number, work))

    def next_ended(self) -> int:
        """Wait for the work that ends next, and return its number. Raises what the work raised."""
        number, error = self._ended.get()
        if error is not None:
            raise error
        return number

    def _run(self) -> None:
        while (begun := self._work.get()) is not None:
            number, work = begun
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised by next_ended
                self._ended.put((number, error))
            else:
                self._ended.put((number, None))
