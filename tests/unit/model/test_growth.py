"""Growth."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.growth import growth_per_day, newest_of_each_day, typical_growth_per_day

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_growth_is_bytes_a_day_over_the_period() -> None:
    sizes = [(NOW - timedelta(days=days), 1000 - 10 * days) for days in range(20)]
    assert growth_per_day(sizes, NOW - timedelta(days=7)) == 10
    assert growth_per_day(list(reversed(sizes)), NOW - timedelta(days=30)) == 10


def test_minutes_tell_nothing_about_growth() -> None:
    assert growth_per_day([(NOW - timedelta(minutes=5), 1), (NOW, 10**9)], NOW - timedelta(days=1)) is None
    assert growth_per_day([], NOW) is None


@given(st.lists(st.tuples(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 1, 20)), st.integers(min_value=0))))  # noqa: DTZ001
def test_of_each_day_the_newest_size_is_shown(naive: list[tuple[datetime, int]]) -> None:
    sizes = [(at.replace(tzinfo=UTC), size) for at, size in naive]
    since = datetime(2026, 1, 5, 12, tzinfo=UTC)
    shown = newest_of_each_day(sizes, since)
    days = [at.date() for at, _ in shown]
    assert days == sorted(set(days)) == sorted({at.date() for at, _ in sizes if at >= since})
    for at, size in shown:
        assert (at, size) in sizes
        assert not any(other > at for other, _ in sizes if other.date() == at.date())


@given(st.integers(min_value=-(10**9), max_value=10**9), st.integers(min_value=0, max_value=11))
def test_typical_growth_does_not_mind_an_odd_day(rate: int, odd: int) -> None:
    sizes = [(NOW - timedelta(days=11 - day), 10**12 + rate * day) for day in range(12)]
    assert typical_growth_per_day(sizes, NOW - timedelta(days=90)) == rate
    sizes[odd] = (sizes[odd][0], 10**15)
    found = typical_growth_per_day(sizes, NOW - timedelta(days=90))
    assert found is not None
    assert abs(found - rate) < 1


def test_growth_is_not_typical_before_there_are_three_days() -> None:
    sizes = [(NOW - timedelta(hours=hours), 1000) for hours in range(25)]
    assert typical_growth_per_day(sizes, NOW - timedelta(days=90)) is None
    assert typical_growth_per_day([*sizes, (NOW - timedelta(days=2), 500)], NOW - timedelta(days=90)) is not None
    assert typical_growth_per_day([*sizes, (NOW - timedelta(days=2), 500)], NOW - timedelta(days=1)) is None
