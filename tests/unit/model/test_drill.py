"""What can be said of a drill without making one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.drill import (
    PHASES,
    RECOVERY,
    Phase,
    added_up,
    drill_target,
    listing_changes,
    new_drill_id,
    recovery_seconds,
    require_drill_id,
)
from pgkeeper.model.errors import UsageError

AT = datetime(2026, 3, 1, 3, 0, 7, tzinfo=UTC)
times = st.datetimes(timezones=st.just(UTC))
listings = st.dictionaries(st.text(min_size=1, max_size=5), st.tuples(st.integers(0, 9), times), max_size=6)
all_phases = st.dictionaries(st.sampled_from(PHASES), st.floats(0, 1e6))


def test_a_recovery_waits_for_no_proof() -> None:
    phases: dict[Phase, float] = {"find": 1, "fetch": 20, "prove": 300, "restore": 4000, "listing": 50000}
    assert recovery_seconds(phases) == 4021


@pytest.mark.parametrize("phase", RECOVERY)
def test_what_was_not_done_to_its_end_has_no_recovery_time(phase: Phase) -> None:
    phases: dict[Phase, float] = {"find": 1, "fetch": 20, "prove": 300, "restore": 4000}
    del phases[phase]
    assert recovery_seconds(phases) is None


@given(st.lists(all_phases))
def test_phases_add_up_in_their_order(several: list[dict[Phase, float]]) -> None:
    total = added_up(several)
    assert list(total) == [phase for phase in PHASES if any(phase in phases for phases in several)]
    for phase, seconds in total.items():
        assert seconds == pytest.approx(sum(phases.get(phase, 0) for phases in several), abs=0.01)


@given(listings)
def test_a_listing_is_like_itself(listing: dict[str, tuple[int, datetime]]) -> None:
    assert listing_changes(listing, dict(reversed(listing.items()))) == ()


@given(listings, listings)
def test_every_difference_between_listings_is_one_line(
    before: dict[str, tuple[int, datetime]], after: dict[str, tuple[int, datetime]]
) -> None:
    assert len(listing_changes(before, after)) == len({key for key, _ in before.items() ^ after.items()})


def test_a_change_of_size_or_time_alone_is_one() -> None:
    before = {"gone": (1, AT), "size": (1, AT), "time": (1, AT), "same": (1, AT)}
    after = {"size": (2, AT), "time": (1, AT + timedelta(seconds=1)), "same": (1, AT), "new": (1, AT)}
    assert listing_changes(before, after) == ("gone is gone", "new is new", "size was written anew", "time was written anew")


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=63).filter(lambda name: len(name.encode()) <= 63))
def test_a_restored_database_has_a_name_of_its_own(name: str) -> None:
    assert drill_target(name, AT, taken=False) == name
    beside = drill_target(name, AT, taken=True)
    assert beside.endswith("_drill_20260301_030007")
    assert len(beside.encode()) <= 63


def test_ids_are_names_of_files_and_nothing_else() -> None:
    drill_id = new_drill_id(AT, "0a1b2c")
    assert require_drill_id(drill_id) == drill_id == "drill-20260301T030007Z-0a1b2c"
    for wrong in ("", "drill-", f"../{drill_id}", f"{drill_id}/x", f"{drill_id}\n"):
        with pytest.raises(UsageError):
            require_drill_id(wrong)
