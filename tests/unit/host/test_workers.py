"""Threads end, whenever the one that waits for them is interrupted."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from pgkeeper.host.workers import Workers

SEED = 17


@pytest.fixture
def interrupting() -> Iterator[None]:
    """SIGALRM interrupts as Ctrl-C does."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_what_ended_is_named_and_what_failed_is_raised() -> None:
    with Workers(2) as workers:
        workers.begin(7, lambda: None)
        assert workers.next_ended() == 7
        workers.begin(8, partial(int, "no number"))
        with pytest.raises(ValueError, match="no number"):
            workers.next_ended()


@pytest.mark.timeout(120, method="thread")
@pytest.mark.usefixtures("interrupting")
def test_an_interruption_at_any_moment_leaves_no_thread_behind() -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    interrupted, before = 0, threading.active_count()
    for _ in range(400):
        # The alarm may be heard a moment after it was turned off: then it interrupts the end of the block.
        try:
            with Workers(2) as workers:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, 0.002))
                try:
                    for number in range(60):
                        workers.begin(number, lambda: None)
                        workers.next_ended()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
    assert interrupted > 100
    assert threading.active_count() == before
