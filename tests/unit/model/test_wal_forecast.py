"""The owner hears how long the disk lasts while nothing is archived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.wal_forecast import WalDisk, hours_until_full, wal_rate

FREE = st.integers(0, 1 << 50)
RATES = st.floats(1, 1e9)
BYTES = 16 << 20


def test_a_segment_a_second_fills_sixty_gigabytes_in_an_hour() -> None:
    assert hours_until_full(WalDisk(3600 * (16 << 20), 16 << 20)) == pytest.approx(1.0)


def test_a_log_that_does_not_grow_fills_nothing() -> None:
    assert hours_until_full(WalDisk(1, 0.0)) is None


def test_the_one_segment_that_a_check_ends_itself_is_one_an_hour() -> None:
    for seconds in (0.0, 1.0, 61.0, 3000.0):
        assert wal_rate(1, seconds, BYTES) == pytest.approx(BYTES / 3600)
    assert wal_rate(0, 0.0, BYTES) == 0


def test_a_log_that_began_to_grow_lately_is_told_at_its_present_rate() -> None:
    assert wal_rate(61, 600.0, BYTES) == pytest.approx(BYTES / 10)
    assert wal_rate(361, 3600.0, BYTES) == pytest.approx(361 * BYTES / 3600)
    assert wal_rate(2, 0.5, BYTES) == pytest.approx(BYTES / 60)


@given(FREE, FREE, RATES, RATES)
def test_less_room_or_more_log_never_lasts_longer(one: int, other: int, slow: float, fast: float) -> None:
    most = hours_until_full(WalDisk(max(one, other), min(slow, fast)))
    least = hours_until_full(WalDisk(min(one, other), max(slow, fast)))
    assert most is not None
    assert least is not None
    assert least <= most
