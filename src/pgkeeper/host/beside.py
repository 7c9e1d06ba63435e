"""A piece of work beside one's own, in a thread that is over when the block is."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """Does `work` in a thread of its own while the block goes on; `result` waits for it.

    A block that fails ends the work as well: `stop` must see to it that the work comes to its end soon, whatever it waits for.
    The work may start no children (see `Child`).
    """

    def __init__(self, work: Callable[[], T], stop: Callable[[], None]) -> None:
        self._work = work
        self._stop = stop
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._do, daemon=True)

    def _do(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error

    def check(self) -> None:
        """Raise what the work has raised by now; do nothing while it goes on, or when it came to a good end."""
        if self._error is not None:
            raise self._error

    def result(self) -> T:
        """Wait for the work and return what it came to. Raises what it raised."""
        self._thread.join()
        self.check()
        return self._found[0]

    def __enter__(self) -> Self:
        """Begin the work."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None) -> None:
        """Wait for the work, or end it when the block failed."""
        if kind is None:
            self.result()
        else:
            self._stop()
            self._thread.join()
