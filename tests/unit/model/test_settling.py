"""A clock in doubt costs no backup."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.model.settling import BACKWARD, FORWARD, SETTLING, Look, begin, look

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
STEPS = st.lists(
    st.one_of(st.integers(0, 48 * 60), st.sampled_from([-(10**6), -90, -61, -60, -30, 4320, 4321, 10**6])), min_size=1, max_size=30
).map(lambda minutes: [timedelta(minutes=step) for step in minutes])


@settings(max_examples=1500, deadline=None)
@given(STEPS)
def test_after_a_jump_nothing_may_go_for_a_day_by_the_clock(steps: list[timedelta]) -> None:
    now, seen = NOW, begin(NOW, "first")
    jumped_at = NOW
    for step in steps:
        now += step
        seen = look(seen, now)
        if step > FORWARD or -step > BACKWARD:
            jumped_at = now
        assert (not seen.held_back(now)) == (now - jumped_at >= SETTLING)
        assert seen.seen_at == now
        assert seen.trusted_since <= now + len(steps) * BACKWARD


@settings(max_examples=500, deadline=None)
@given(st.timedeltas(min_value=-timedelta(hours=1), max_value=timedelta(days=3)))
def test_a_timetable_and_small_corrections_are_no_jumps(step: timedelta) -> None:
    settled = Look(NOW, NOW - timedelta(days=30), "first")
    assert look(settled, NOW + step).held_back(NOW + step) == ""


@pytest.mark.parametrize(
    ("step", "words"),
    [(timedelta(days=3652), "set forward"), (timedelta(days=-3652), "set back"), (timedelta(days=4), "did not run for 4 d")],
)
def test_a_jump_is_explained_with_the_time_it_ends(step: timedelta, words: str) -> None:
    now = NOW + step
    reason = look(Look(NOW, NOW - timedelta(days=30), "first"), now).held_back(now)
    assert words in reason
    assert f"{now + timedelta(days=1):%Y-%m-%d %H:%M} UTC" in reason


def test_the_first_look_settles_for_a_day() -> None:
    first = begin(NOW, "expiry looks for the first time here")
    assert "first time" in first.held_back(NOW + timedelta(hours=23, minutes=59))
    assert first.held_back(NOW + timedelta(hours=24)) == ""
