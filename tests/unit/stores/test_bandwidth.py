"""A limit that holds whatever it is, and however many share it."""

from __future__ import annotations

import time

import pytest

from pgkeeper.stores.bandwidth import Bandwidth

PIECE = 16 << 10


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


@pytest.mark.parametrize("limit", [10_000, 1 << 20, 10**9, 10**11])
def test_a_limit_is_kept_to_whatever_it_is(clock: Clock, limit: int) -> None:
    bandwidth = Bandwidth(limit)
    begun = clock.now
    for _ in range(1000):
        clock.now += bandwidth.take(PIECE)
    assert 1000 * PIECE / (clock.now - begun) == pytest.approx(limit, rel=0.01)


def test_several_share_one_limit(clock: Clock) -> None:
    bandwidth = Bandwidth(1 << 20)
    begun = clock.now
    ready = [clock.now] * 4
    for _ in range(400):
        number = ready.index(min(ready))
        clock.now = max(clock.now, ready[number])
        ready[number] = clock.now + bandwidth.take(PIECE)
    assert 400 * PIECE / (max(ready) - begun) == pytest.approx(1 << 20, rel=0.02)


def test_sleeping_too_long_is_made_up_for(clock: Clock) -> None:
    bandwidth = Bandwidth(10**9)
    begun = clock.now
    for _ in range(10_000):
        wait = bandwidth.take(PIECE)
        clock.now += wait + 0.00005 if wait else 0.0
    assert 10_000 * PIECE / (clock.now - begun) == pytest.approx(10**9, rel=0.05)


def test_what_was_not_used_is_not_saved_up(clock: Clock) -> None:
    bandwidth = Bandwidth(1000)
    clock.now += 3600
    begun = clock.now
    for _ in range(10):
        clock.now += bandwidth.take(1000)
    assert clock.now - begun > 8


def test_no_limit_is_no_limit_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        Bandwidth(0)
