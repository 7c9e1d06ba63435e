"""How long trouble that may pass is put up with."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

_STEP_SECONDS = 0.2


@dataclass(frozen=True)
class Patience:
    """Trouble is put up with for `seconds`, with pauses between the tries that double from `first_pause` up to `longest_pause`.

    Before anything was answered at all it is put up with for `seconds_at_first`: whoever asks without a line should hear of it soon.
    """

    seconds: float = 300.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    seconds_at_first: float = 20.0

    def begin(self, *, answered: bool = True) -> "Trying":
        """Return what paces the tries of one piece of work, whose time begins now; `answered` tells whether anything ever was."""
        return Trying(self if answered else replace(self, seconds=min(self.seconds, self.seconds_at_first)))


class Trying:
    """The tries of one piece of work."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.succeeded()

    def succeeded(self) -> None:
        """Take note that the work got on: time and pauses begin anew."""
        self._deadline = time.monotonic() + self._patience.seconds
        self._pause = self._patience.first_pause

    def pause(self, at_least: float = 0.0, waiting: Callable[[], None] = lambda: None) -> bool:
        """Wait before the next try; False when there is no patience left for one.

        `at_least`: for how many seconds the provider asks. `waiting` is called all the while, and ends it by raising.
        """
        # Hosts that were cut off together should not come back together.
        seconds = max(random.uniform(self._pause / 2, self._pause), at_least)  # noqa: S311 - nothing secret
        self._pause = min(self._pause * 2, self._patience.longest_pause)
        until = time.monotonic() + seconds
        if until > self._deadline:
            return False
        while (left := until - time.monotonic()) > 0:
            waiting()
            time.sleep(min(left, _STEP_SECONDS))
        waiting()
        return True
