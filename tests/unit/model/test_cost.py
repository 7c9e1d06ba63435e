"""What copies off site cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.cost import StoredCopy, format_dollars, newest_copies, over_budget_in_months, restore_dollars, storage_dollars
from pgkeeper.model.prices import GB, PRICES, STANDARD, Price, price_of

BACKBLAZE, AMAZON, GOOGLE = (price_of(PRICES, provider, STANDARD) for provider in ("backblaze", "aws", "gcs"))
MONTH_OF_COPIES = 30 * 1_660_000_000
NOW = datetime(2026, 1, 31, tzinfo=UTC)

sizes = st.integers(min_value=0, max_value=10**15)
listed = st.sampled_from(PRICES)


@given(listed, sizes, sizes)
def test_more_bytes_never_cost_less_and_nothing_costs_less_than_nothing(price: Price, one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert 0 <= storage_dollars(price, few) <= storage_dollars(price, many)
    assert 0 <= restore_dollars(price, few, many) <= restore_dollars(price, many, many)


@given(listed, sizes)
def test_what_is_free_is_free_and_the_first_byte_after_it_is_not(price: Price, beyond: int) -> None:
    free = round(price.free * GB)
    assert storage_dollars(price, min(free, beyond)) == 0
    assert storage_dollars(price, free + beyond) == pytest.approx(beyond / GB * price.storage, abs=1e-6, rel=1e-6)


def test_a_month_of_copies_costs_what_the_list_says() -> None:
    assert storage_dollars(replace(BACKBLAZE, free=0), MONTH_OF_COPIES) == pytest.approx(0.249)
    assert storage_dollars(BACKBLAZE, MONTH_OF_COPIES) == pytest.approx(0.199)
    assert storage_dollars(AMAZON, 40 * GB) == pytest.approx(0.92)
    assert storage_dollars(replace(BACKBLAZE, free=0), 40 * GB) == pytest.approx(0.20)
    assert storage_dollars(GOOGLE, 40 * GB) == pytest.approx(0.80)


@given(sizes)
def test_backblaze_lets_three_times_the_stored_amount_out_for_nothing(size: int) -> None:
    assert restore_dollars(BACKBLAZE, 3 * size, size) == 0
    assert restore_dollars(BACKBLAZE, 3 * size + 100 * GB, size) == pytest.approx(1, abs=1e-3)


def test_a_restore_costs_egress_beyond_what_is_free_and_retrieval_of_all() -> None:
    assert restore_dollars(AMAZON, 100 * GB, 100 * GB) == 0
    assert restore_dollars(AMAZON, 150 * GB, 150 * GB) == pytest.approx(50 * 0.09)
    assert restore_dollars(price_of(PRICES, "aws", "GLACIER_IR"), 150 * GB, 150 * GB) == pytest.approx(50 * 0.09 + 150 * 0.03)
    assert restore_dollars(GOOGLE, GB, GB) == pytest.approx(0.12)


def test_a_full_restore_fetches_the_newest_copy_of_each_database() -> None:
    copies = [
        StoredCopy("cloud", "aws", STANDARD, cluster, database, NOW - timedelta(days=days), 1)
        for cluster, database, days in (("a", "app", 1), ("a", "app", 0), ("a", "app", 2), ("a", "shop", 9), ("b", "app", 4))
    ]
    assert {(copy.cluster, copy.database): NOW - copy.created_at for copy in newest_copies(copies)} == {
        ("a", "app"): timedelta(0),
        ("a", "shop"): timedelta(days=9),
        ("b", "app"): timedelta(days=4),
    }


@pytest.mark.parametrize(
    ("dollars", "budget", "month"),
    [
        ([1.0, 2.0, 3.0], None, None),
        ([1.0, 2.0, 3.0], 3.0, None),
        ([1.0, 2.0, 3.0], 1.5, 1),
        ([1.0, 2.0, 3.0], 0.5, 0),
        ([1.0, 3.0, 1.0], 2.0, 1),
        ([], 1.0, None),
    ],
)
def test_a_budget_is_exceeded_in_the_first_month_that_costs_more(dollars: list[float], budget: float | None, month: int | None) -> None:
    assert over_budget_in_months(dollars, budget) == month


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(0, "$0.00"), (0.0001, "<$0.01"), (0.01, "$0.01"), (0.249, "$0.25"), (12, "$12.00"), (1234.5, "$1,234.50")],
)
def test_dollars_have_two_digits_and_little_is_not_nothing(dollars: float, text: str) -> None:
    assert format_dollars(dollars) == text
