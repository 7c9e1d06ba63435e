"""What will be held in some months."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.model.cost import StoredCopy
from pgkeeper.model.forecast import Holding, forecast, when_full
from pgkeeper.model.prices import PRICES, STANDARD, price_of
from pgkeeper.model.retention import Policy

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SIZE = 1_660_000_000
DAYS = st.integers(min_value=3, max_value=120)


def copy(days: float = 0.4, size: int = SIZE) -> StoredCopy:
    return StoredCopy("cloud", "backblaze", STANDARD, "15-main", "app", NOW - timedelta(days=days), size)


def stored(holding: Holding) -> int:
    return sum(one.size_bytes for one in holding.kept)


@settings(deadline=None, max_examples=20)
@given(DAYS)
def test_without_growth_a_full_store_stays_as_it_is(days: int) -> None:
    full = when_full(copy(), NOW, Policy(days))
    assert len(full.kept) == days
    assert [stored(holding) for holding in forecast(full, 0, Policy(days), 24)] == [days * SIZE] * 25


@settings(deadline=None, max_examples=20)
@given(DAYS, st.integers(min_value=-SIZE, max_value=SIZE))
def test_each_month_holds_copies_of_the_days_before_it_as_large_as_they_were_then(days: int, growth: int) -> None:
    start = when_full(copy(), NOW, Policy(days))
    for holding in forecast(start, growth, Policy(days), 24)[3:]:
        assert len(holding.kept) == days
        for one in holding.kept:
            assert holding.at - timedelta(days=days) <= one.created_at <= holding.at
            age = (one.created_at - NOW) / timedelta(days=1)
            if age > 0:
                assert one.size_bytes == max(0, round(SIZE + growth * age))


def test_growth_adds_up_and_shrinking_ends_at_nothing() -> None:
    full = when_full(copy(), NOW, Policy(30))
    grown = [stored(holding) for holding in forecast(full, 3_000_000, Policy(30), 24)]
    assert grown == sorted(grown)
    assert grown[12] == pytest.approx(30 * (SIZE + (365 - 15) * 3_000_000), rel=0.001)
    assert stored(forecast(full, -SIZE, Policy(30), 2)[2]) == 0


def test_a_store_that_is_not_full_fills_up_first() -> None:
    counts = [len(holding.kept) for holding in forecast(Holding(NOW, (copy(1.2), copy(0.2))), 0, Policy(90), 6)]
    assert counts == [2, 32, 63, 90, 90, 90, 90]


def test_what_lies_there_now_counts_even_if_retention_would_not_keep_it() -> None:
    found = forecast(Holding(NOW, (copy(400), copy(0.2))), 0, Policy(30), 1)
    assert [len(holding.kept) for holding in found] == [2, 30]


def test_a_database_that_is_backed_up_no_more_keeps_what_it_has() -> None:
    start = Holding(NOW, (copy(9), copy(8)))
    assert [holding.kept for holding in forecast(start, 1000, Policy(30), 6)] == [start.kept] * 7
    assert [holding.kept for holding in forecast(Holding(NOW, ()), 1000, Policy(30), 2)] == [()] * 3


def test_keeps_beyond_the_days_are_held_too() -> None:
    policy = Policy(7, weekly=8, monthly=12)
    full = when_full(copy(), NOW, policy)
    # 7 days; of the last 8 weeks those that these do not reach into; of the last 12 months the ones before.
    assert 7 + 6 + 9 <= len(full.kept) <= 7 + 7 + 11
    later = forecast(full, 0, policy, 24)
    assert all(abs(len(holding.kept) - len(full.kept)) <= 3 for holding in later)


def test_a_copy_a_year_is_held_for_years() -> None:
    ages = sorted((NOW - one.created_at).days for one in when_full(copy(), NOW, Policy(3, yearly=4)).kept)
    # The newest of this year is among the three days.
    assert ages[:3] == [0, 1, 2]
    assert [age // 365 for age in ages[3:]] == [0, 1, 2]


def test_what_went_before_its_time_is_charged_where_the_class_has_a_minimum() -> None:
    full = when_full(copy(), NOW, Policy(30))
    cold = price_of(PRICES, "gcs", "COLDLINE")
    for holding in (full, *forecast(full, 0, Policy(30), 24)):
        assert len(holding.charged(price_of(PRICES, "gcs", STANDARD))) == 30
        assert len(holding.charged(cold)) == 90
    assert len(when_full(copy(), NOW, Policy(120)).charged(cold)) == 120


def test_ten_thousand_days_are_not_imagined_one_by_one() -> None:
    assert len(when_full(copy(), NOW, Policy(36500)).kept) == 3650
