"""Work in a thread that nobody waits for: it ends with the process, however long its connection would still be waited for."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T], ended: Callable[[], None] = lambda: None) -> Future[T]:
    """Begin `work` and return what will hold its result or its error. `ended` is called, in that thread, when it does."""
    future: Future[T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)
        ended()

    threading.Thread(target=do, daemon=True).start()
    return future
