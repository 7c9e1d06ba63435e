"""Retention never eats the last good one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.retention import ALWAYS_KEPT, Held, decide

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
FRESH = timedelta(hours=28)
AGES = st.floats(-5 * 24, 400 * 24)
HISTORY = st.lists(st.tuples(AGES, st.booleans()), max_size=40).map(
    lambda items: [Held(f"b{number}", NOW - timedelta(hours=age), readable) for number, (age, readable) in enumerate(items)]
)


@given(HISTORY, st.integers(1, 90))
def test_the_newest_readable_ones_stay_whatever_happened(history: list[Held], days: int) -> None:
    removed = set(decide(history, NOW, days, FRESH).removed)
    readable = sorted(
        (held for held in history if held.readable and held.created_at <= NOW), key=lambda held: (held.created_at, held.backup_id)
    )
    assert not removed & {held.backup_id for held in readable[-ALWAYS_KEPT:]}
    assert len(readable) - len(removed) >= min(ALWAYS_KEPT, len(readable))


@given(HISTORY, st.integers(1, 90))
def test_nothing_goes_without_a_fresh_backup(history: list[Held], days: int) -> None:
    fresh = [held for held in history if held.readable and timedelta() <= NOW - held.created_at <= FRESH]
    verdict = decide(history, NOW, days, FRESH)
    assert fresh or not verdict.removed
    assert bool(verdict.refused) == (not fresh)


@given(HISTORY, st.integers(1, 90))
def test_what_goes_is_old_readable_and_not_from_the_future(history: list[Held], days: int) -> None:
    known = {held.backup_id: held for held in history}
    for backup_id in decide(history, NOW, days, FRESH).removed:
        assert known[backup_id].readable
        assert NOW - known[backup_id].created_at > timedelta(days=days)


@given(HISTORY, st.integers(1, 90))
def test_every_backup_gets_one_decision_with_a_reason(history: list[Held], days: int) -> None:
    decisions = decide(history, NOW, days, FRESH).decisions
    assert sorted(decision.backup_id for decision in decisions) == sorted(held.backup_id for held in history)
    assert all(decision.reason for decision in decisions)


@given(HISTORY, st.integers(1, 90))
def test_deciding_again_after_the_removal_removes_nothing_more(history: list[Held], days: int) -> None:
    removed = set(decide(history, NOW, days, FRESH).removed)
    assert not decide([held for held in history if held.backup_id not in removed], NOW, days, FRESH).removed


def test_daily_backups_end_with_a_week_of_them() -> None:
    history = [Held(f"day{age}", NOW - timedelta(days=age)) for age in range(30)]
    verdict = decide(history, NOW, 7, FRESH)
    assert verdict.removed == tuple(f"day{age}" for age in range(29, 7, -1))
