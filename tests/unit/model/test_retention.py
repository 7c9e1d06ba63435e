"""Retention never eats the last good one."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.model.retention import ALWAYS_KEPT, FRESH, Held, Policy, Verdict, decide
from pgkeeper.model.settling import Look, begin, look

MANY = settings(max_examples=900, deadline=None)
# Moments where calendars are odd: changes to and from summer time, a leap day, New Years whose week is another year's.
ODD = [
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 59, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
    datetime(2021, 1, 3, 23, 0, tzinfo=UTC),
    datetime(2024, 12, 30, 0, 0, tzinfo=UTC),
    datetime(2027, 1, 1, 0, 0, tzinfo=UTC),
    datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC),
]
NOWS = st.sampled_from(ODD)
POLICIES = st.builds(Policy, st.integers(1, 90), *[st.integers(0, 5)] * 4)
BACKUPS = st.tuples(
    st.one_of(st.integers(-9000, 60), st.integers(-50, 60 * 24), st.integers(0, 30).map(lambda n: 24 * n)), st.integers(0, 31)
)
HISTORIES = st.lists(BACKUPS, max_size=20)


def history_at(now: datetime, items: list[tuple[int, int]]) -> list[Held]:
    """Backups by age in hours and five lucky coins: two of them must fall badly for one that can't be read."""
    return [
        Held(f"b{number}", now - timedelta(hours=age), coins & 3 != 0, coins & 4 != 0 and coins & 3 != 0, coins & 24 == 24)
        for number, (age, coins) in enumerate(items)
    ]


def believed(history: list[Held], now: datetime) -> list[Held]:
    """What counts, newest first."""
    found = [held for held in history if held.readable and held.created_at <= now]
    return sorted(found, key=lambda held: (held.created_at, held.backup_id), reverse=True)


def assert_promises(history: list[Held], now: datetime, policy: Policy, verdict: Verdict) -> None:
    """Everything retention promises, of one verdict."""
    removed = set(verdict.removed)
    known = {held.backup_id: held for held in history}
    good = believed(history, now)
    assert sorted(decision.backup_id for decision in verdict.decisions) == sorted(known)
    assert all(decision.reason for decision in verdict.decisions)
    assert not removed & {held.backup_id for held in good[:ALWAYS_KEPT]}
    assert not removed & {held.backup_id for held in good if held.proven} or any(
        held.proven and held.backup_id not in removed for held in good
    )
    assert next((held.backup_id for held in good if held.proven), None) not in removed
    for backup_id in removed:
        gone = known[backup_id]
        assert gone.readable
        assert not gone.pinned
        assert now - gone.created_at > timedelta(days=policy.days)
    if removed:
        assert now - good[0].created_at <= FRESH
        assert not verdict.refused


@MANY
@given(NOWS, HISTORIES, POLICIES)
def test_the_newest_readable_ones_stay_whatever_happened(now: datetime, items: list[tuple[int, int]], policy: Policy) -> None:
    history = history_at(now, items)
    removed = set(decide(history, now, policy).removed)
    assert not removed & {held.backup_id for held in believed(history, now)[:ALWAYS_KEPT]}


@MANY
@given(NOWS, HISTORIES, POLICIES)
def test_the_newest_proven_one_stays_however_old(now: datetime, items: list[tuple[int, int]], policy: Policy) -> None:
    history = history_at(now, items)
    newest = next((held.backup_id for held in believed(history, now) if held.proven), None)
    assert newest not in decide(history, now, policy).removed


@MANY
@given(NOWS, HISTORIES, POLICIES)
def test_what_is_pinned_damaged_or_from_the_future_stays(now: datetime, items: list[tuple[int, int]], policy: Policy) -> None:
    history = history_at(now, items)
    removed = set(decide(history, now, policy).removed)
    assert not removed & {held.backup_id for held in history if held.pinned or not held.readable or held.created_at > now}


@MANY
@given(NOWS, HISTORIES, POLICIES, st.sampled_from(["", "the clock is in doubt"]))
def test_nothing_goes_without_a_fresh_backup_or_while_held_back(
    now: datetime, items: list[tuple[int, int]], policy: Policy, held_back: str
) -> None:
    history = history_at(now, items)
    fresh = any(now - held.created_at <= FRESH for held in believed(history, now))
    verdict = decide(history, now, policy, held_back)
    assert bool(verdict.refused) == bool(held_back or not fresh)
    if verdict.refused:
        assert not verdict.removed
    if held_back:
        assert verdict.refused == held_back


@MANY
@given(NOWS, HISTORIES, POLICIES)
def test_every_backup_gets_one_decision_with_a_reason(now: datetime, items: list[tuple[int, int]], policy: Policy) -> None:
    history = history_at(now, items)
    assert_promises(history, now, policy, decide(history, now, policy))


@MANY
@given(NOWS, HISTORIES, POLICIES)
def test_deciding_again_after_the_removal_removes_nothing_more(now: datetime, items: list[tuple[int, int]], policy: Policy) -> None:
    history = history_at(now, items)
    removed = set(decide(history, now, policy).removed)
    assert not decide([held for held in history if held.backup_id not in removed], now, policy).removed


@MANY
@given(NOWS, HISTORIES, POLICIES, st.lists(st.integers(0, 31), max_size=4))
def test_backups_from_the_future_cost_no_other_one(now: datetime, items: list[tuple[int, int]], policy: Policy, coins: list[int]) -> None:
    history = history_at(now, items)
    ahead = [
        Held(f"f{number}", now + timedelta(days=3650, hours=number), coin & 1 == 1, coin & 2 == 2, coin & 4 == 4)
        for number, coin in enumerate(coins)
    ]
    assert decide([*history, *ahead], now, policy).removed == decide(history, now, policy).removed


@MANY
@given(NOWS, HISTORIES, POLICIES, st.integers(0, 4))
def test_keeping_more_never_removes_more(now: datetime, items: list[tuple[int, int]], policy: Policy, which: int) -> None:
    history = history_at(now, items)
    numbers = [policy.days, policy.daily, policy.weekly, policy.monthly, policy.yearly]
    numbers[which] += 1
    assert set(decide(history, now, Policy(*numbers)).removed) <= set(decide(history, now, policy).removed)


PERIODS: dict[str, Callable[[datetime], Any]] = {
    "daily": lambda at: at.date(),
    "weekly": lambda at: (at.isocalendar().year, at.isocalendar().week),
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}


@MANY
@given(NOWS, HISTORIES, st.sampled_from(sorted(PERIODS)), st.integers(1, 6))
def test_of_each_of_the_last_periods_with_backups_the_newest_stays(
    now: datetime, items: list[tuple[int, int]], period: str, count: int
) -> None:
    history = history_at(now, items)
    removed = decide(history, now, Policy(1, **{period: count})).removed
    by_period: dict[Any, list[Held]] = {}
    for held in believed(history, now):
        by_period.setdefault(PERIODS[period](held.created_at), []).append(held)
    for name in sorted(by_period, reverse=True)[:count]:
        assert by_period[name][0].backup_id not in removed


class Host:
    """A host over simulated years: backups that succeed or fail, proofs, pins, damage, expiry now and then, a clock that jumps."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - no secret
        self.clock = self.dice.choice(ODD)
        self.policy = Policy(self.dice.choice([1, 3, 7, 14]), *(self.dice.choice([0, 0, 2, 7]) for _ in range(4)))
        self.held: dict[str, Held] = {}
        self.made: list[str] = []
        self.looks: Look = begin(self.clock, "first")
        self.failing = 0.1

    def day(self) -> None:
        """Live through a day, more or less."""
        chance = self.dice.random
        if chance() < 0.02:
            self.clock += timedelta(days=self.dice.choice([-3650, -30, -2, 2, 30, 3650]), hours=self.dice.randint(-5, 5))
        if chance() < 0.05:
            self.failing = self.dice.choice([0.0, 0.1, 1.0])
        # The year 2000 to 2100, lest years of jumps lead out of the calendar.
        if not 2000 < self.clock.year < 2100:
            self.clock = self.clock.replace(year=2026, day=1)
        self.clock += timedelta(hours=self.dice.choice([23, 24, 24, 24, 25]))
        if chance() >= self.failing:
            name = f"b{len(self.made):06d}"
            self.made.append(name)
            self.held[name] = Held(name, self.clock, chance() > 0.05)
        if self.held and chance() < 0.2:
            self._change(self.dice.choice(list(self.held)))
        if chance() < 0.7:
            self.expire()

    def _change(self, name: str) -> None:
        held = self.held[name]
        kind = self.dice.randrange(4)
        if kind == 0:
            self.held[name] = Held(name, held.created_at, held.readable, held.readable, held.pinned)
        elif kind == 1:
            self.held[name] = Held(name, held.created_at, held.readable, held.proven, self.dice.random() < 0.2)
        elif kind == 2:
            self.held[name] = Held(name, held.created_at, readable=False, pinned=held.pinned)

    def expire(self) -> None:
        """Run expiry, and see that it kept its promises."""
        self.clock += timedelta(minutes=100)
        before = self.looks
        self.looks = look(before, self.clock)
        verdict = decide(self.held.values(), self.clock, self.policy, self.looks.held_back(self.clock))
        assert_promises(list(self.held.values()), self.clock, self.policy, verdict)
        passed = self.clock - before.seen_at
        if verdict.removed:
            assert -timedelta(hours=1) <= passed <= timedelta(days=3), "right after a jump nothing goes"
        good = {held.backup_id for held in believed(list(self.held.values()), self.clock)}
        for backup_id in verdict.removed:
            del self.held[backup_id]
        assert len(good & set(self.held)) >= min(ALWAYS_KEPT, len(good))


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_years_of_failures_jumping_clocks_pins_and_proofs_never_cost_the_last_good_one(seed: int) -> None:
    host = Host(seed)
    for _ in range(120):
        host.day()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_that_holds_over_ten_years(seed: int) -> None:
    host = Host(seed)
    for _ in range(1200):
        host.day()


@settings(max_examples=2500, deadline=None)
@given(st.integers(0, 2**32))
def test_a_long_history_keeps_every_promise(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    now = dice.choice(ODD)
    history = history_at(now, [(dice.randint(-100, 20000), dice.randrange(32)) for _ in range(dice.randrange(80))])
    policy = Policy(dice.randint(1, 60), *(dice.randrange(8) for _ in range(4)))
    assert_promises(history, now, policy, decide(history, now, policy))


def test_daily_backups_end_with_a_week_of_them() -> None:
    history = [Held(f"day{age}", ODD[0] - timedelta(days=age)) for age in range(30)]
    assert decide(history, ODD[0], Policy(7)).removed == tuple(f"day{age}" for age in range(29, 7, -1))


def test_a_year_of_daily_backups_thins_out_as_asked_for() -> None:
    now = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
    history = [Held(f"{now - timedelta(days=age):%Y-%m-%d}", now - timedelta(days=age, hours=1)) for age in range(800)]
    verdict = decide(history, now, Policy(1, daily=4, weekly=3, monthly=3, yearly=3))
    kept = {decision.backup_id: decision.reason for decision in verdict.decisions if decision.keep}
    assert kept == {
        "2026-07-01": "one of the newest 3",
        "2026-06-30": "one of the newest 3",
        "2026-06-29": "one of the newest 3",
        "2026-06-28": "the newest of day 2026-06-28",
        "2026-06-21": "the newest of week 2026-W25",
        "2026-05-31": "the newest of month 2026-05",
        "2025-12-31": "the newest of year 2025",
        "2024-12-31": "the newest of year 2024",
    }


def test_weeks_are_iso_weeks_across_the_new_year() -> None:
    now = datetime(2021, 1, 5, 4, 0, tzinfo=UTC)
    days = [datetime(2021, 1, 5, 3, tzinfo=UTC) - timedelta(days=age) for age in range(20)]
    verdict = decide([Held(f"{day:%m-%d}", day) for day in days], now, Policy(1, weekly=3))
    reasons = {decision.backup_id: decision.reason for decision in verdict.decisions if decision.keep}
    # January 3 2021, a Sunday, is in week 53 of 2020.
    assert set(reasons) == {"01-05", "01-04", "01-03", "12-27"}
    assert reasons["12-27"] == "the newest of week 2020-W52"


def test_every_kept_one_says_why_and_every_removed_one_too() -> None:
    now = ODD[0]
    history = [Held(f"{age}", now - timedelta(days=age)) for age in (0, 1, 2, 3)]
    history += [
        Held("proven", now - timedelta(days=300), proven=True),
        Held("pinned", now - timedelta(days=301), pinned=True),
        Held("damaged", now - timedelta(days=302), readable=False),
        Held("future", now + timedelta(days=1)),
        Held("gone", now - timedelta(days=303)),
    ]
    reasons = {decision.backup_id: decision.reason for decision in decide(history, now, Policy(7, weekly=1)).decisions}
    assert reasons["3"] == "not older than 7 days"
    assert reasons["proven"] == "the newest proven one"
    assert reasons["pinned"] == "it is pinned"
    assert reasons["damaged"].startswith("it is damaged")
    assert reasons["future"] == "it claims to be from the future"
    assert reasons["gone"] == "older than 7 days, and not one of the 1 weekly ones to keep"


@MANY
@given(NOWS, HISTORIES, POLICIES, st.sets(st.integers(0, 19)))
def test_one_whose_restore_differed_costs_no_other_one_and_may_be_the_last_good_one(
    now: datetime, items: list[tuple[int, int]], policy: Policy, differing: set[int]
) -> None:
    history = [replace(held, differs=number in differing, proven=held.proven and number not in differing)
               for number, held in enumerate(history_at(now, items))]  # fmt: skip
    verdict = decide(history, now, policy)
    assert_promises(history, now, policy, verdict)
    without = decide([held for held in history if not held.differs], now, policy)
    if not without.refused:
        sound = {held.backup_id for held in history if not held.differs}
        assert set(verdict.removed) & sound <= set(without.removed)
    last = [held.backup_id for held in believed(history, now) if held.differs][:ALWAYS_KEPT]
    if not any(not held.differs for held in believed(history, now)):
        assert not set(last) & set(verdict.removed)
