"""Patience that lasts, and ends."""

from __future__ import annotations

import time

import pytest

from pgkeeper.stores.patience import Patience


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses in which only the clock goes on."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: sum(pauses))
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_trouble_is_put_up_with_for_so_long_and_no_longer(slept: list[float]) -> None:
    trying = Patience(100, 1, 10).begin()
    ends = []
    while trying.pause():
        ends.append(sum(slept))
    assert 80 < ends[-1] <= 100
    lengths = [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]
    assert all(low <= length <= high for length, low, high in zip(lengths, (0.5, 1, 2, 4, 5, 5), (1, 2, 4, 8, 10, 10), strict=False))


def test_whoever_gets_on_has_patience_anew(slept: list[float]) -> None:
    trying = Patience(10, 1, 10).begin()
    for _ in range(50):
        assert trying.pause()
        trying.succeeded()
    assert sum(slept) > 20


def test_a_provider_that_asks_for_time_gets_it_unless_it_asks_for_too_much(slept: list[float]) -> None:
    trying = Patience(100, 1, 10).begin()
    assert trying.pause(60)
    assert sum(slept) == pytest.approx(60)
    assert not trying.pause(60)


def test_a_pause_can_be_broken_off(slept: list[float]) -> None:
    def interrupted() -> None:
        if sum(slept) > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Patience(100, 50, 50).begin().pause(waiting=interrupted)
    assert sum(slept) < 2


def test_without_any_answer_patience_ends_soon() -> None:
    patience = Patience(seconds=300, seconds_at_first=0, first_pause=0.01)
    assert not patience.begin(answered=False).pause()
    assert patience.begin(answered=True).pause()
