"""A limit for how much goes onto the line, shared by all threads that send."""

import threading
import time

_BURST_SECONDS = 0.1


class Bandwidth:
    """At most `limit` bytes a second together. May be used by several threads at once."""

    def __init__(self, limit: int) -> None:
        """`limit` is in bytes a second, at least 1."""
        if limit < 1:
            raise ValueError("a limit is at least one byte a second")
        self._limit = limit
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> float:
        """Take `count` bytes' worth of the line, and return for how many seconds to wait before sending them."""
        with self._lock:
            now = time.monotonic()
            # What was not used before is lost, but for what makes up for sleeping a little too long.
            self._free_at = max(self._free_at, now - _BURST_SECONDS)
            self._free_at += count / self._limit
            return max(self._free_at - now, 0.0)
