"""Growth."""

from datetime import UTC, datetime, timedelta

from pgkeeper.model.growth import growth_per_day

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_growth_is_bytes_a_day_over_the_period() -> None:
    sizes = [(NOW - timedelta(days=days), 1000 - 10 * days) for days in range(20)]
    assert growth_per_day(sizes, NOW - timedelta(days=7)) == 10
    assert growth_per_day(list(reversed(sizes)), NOW - timedelta(days=30)) == 10


def test_minutes_tell_nothing_about_growth() -> None:
    assert growth_per_day([(NOW - timedelta(minutes=5), 1), (NOW, 10**9)], NOW - timedelta(days=1)) is None
    assert growth_per_day([], NOW) is None
