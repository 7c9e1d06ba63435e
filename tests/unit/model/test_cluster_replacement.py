"""A replacement of a cluster that was interrupted ends with one cluster or the other, never with writes lost."""

from datetime import UTC, datetime, timedelta

import pytest

from pgkeeper.model.cluster_replacement import (
    CLUSTER_STEPS,
    IN_PLACE_STEPS,
    ClusterEntry,
    ClusterReplacement,
    ClusterStep,
    cluster_ending,
    read_cluster_replacement,
)
from pgkeeper.model.exchange import Move, Stand

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


def entries(last: ClusterStep) -> list[ClusterEntry]:
    """A journal up to `last`."""
    steps = [*CLUSTER_STEPS[: CLUSTER_STEPS.index(last) + 1]] if last != "undone" else ["begun", "undone"]
    first = ClusterEntry(
        step="begun",
        at=AT,
        kind="undo",
        system_identifier="7",
        data_directory="/data",
        kept_as="/data.after",
        target="2026-11-26 11:00 UTC",
    )
    later = [ClusterEntry(step=step, at=AT + timedelta(seconds=number)) for number, step in enumerate(steps[1:], 1)]
    return [first, *later]


def test_a_journal_tells_the_facts_of_all_its_lines() -> None:
    lines = entries("recovered")
    moves = (Move(source="/data", target="/data.after"),)
    lines[-1] = lines[-1].model_copy(update={"moves": moves, "timeline": 3, "tablespaces": {16400: "/fast"}})
    known = read_cluster_replacement("main-1", lines)
    assert known is not None
    assert (known.kind, known.step, known.moves, known.timeline, known.tablespaces) == ("undo", "recovered", moves, 3, {16400: "/fast"})
    assert (known.begun_at, known.changed_at) == (AT, AT + timedelta(seconds=1))
    assert read_cluster_replacement("main-1", []) is None


@pytest.mark.parametrize("step", CLUSTER_STEPS)
@pytest.mark.parametrize("stand", ["before", "between", "after"])
def test_production_gets_its_own_files_back_unless_somebody_may_have_written_to_the_new_ones(step: ClusterStep, stand: Stand) -> None:
    known = read_cluster_replacement("main-1", entries(step))
    assert known is not None
    written = step in ("archiving", "starting") and stand == "after"
    assert cluster_ending(known, stand) == ("nothing" if step == "done" else "go_on" if written else "go_back")


def test_what_was_given_up_needs_nothing() -> None:
    known = read_cluster_replacement("main-1", entries("undone"))
    assert known is not None
    assert known.finished
    assert cluster_ending(known, "before") == "nothing"


def test_production_is_not_touched_before_it_is_stopped() -> None:
    touched = [step for step in CLUSTER_STEPS if (known := read_cluster_replacement("x", entries(step))) and known.touched]
    assert touched == ["stopping", "exchanging", "checking", "archiving", "starting", "done"]


def in_place(step: ClusterStep, *, found_unusable: bool = False) -> ClusterReplacement:
    steps = IN_PLACE_STEPS[: IN_PLACE_STEPS.index(step) + 1]
    lines = [ClusterEntry(step=one, at=AT, in_place=one == "begun", found_unusable=found_unusable and one == "begun") for one in steps]
    known = read_cluster_replacement("main-1", lines)
    assert known is not None
    assert known.in_place
    return known


@pytest.mark.parametrize("step", IN_PLACE_STEPS)
def test_files_that_were_being_written_over_are_started_only_when_they_are_whole(step: ClusterStep) -> None:
    endings = {"begun": "go_back", "stopping": "go_back", "overwriting": "stay_down", "done": "nothing"}
    assert cluster_ending(in_place(step), "before") == endings.get(step, "go_on")


@pytest.mark.parametrize("step", IN_PLACE_STEPS)
def test_files_that_were_of_no_use_when_it_began_are_not_started_either(step: ClusterStep) -> None:
    endings = {"begun": "stay_down", "stopping": "stay_down", "overwriting": "stay_down", "done": "nothing"}
    assert cluster_ending(in_place(step, found_unusable=True), "before") == endings.get(step, "go_on")


@pytest.mark.parametrize("step", CLUSTER_STEPS)
@pytest.mark.parametrize("stand", ["before", "between", "after"])
def test_files_of_no_use_are_not_put_back_where_whole_ones_are_there(step: ClusterStep, stand: Stand) -> None:
    first, *later = entries(step)
    known = read_cluster_replacement("main-1", [first.model_copy(update={"found_unusable": True}), *later])
    assert known is not None
    assert cluster_ending(known, stand) == ("nothing" if step == "done" else "go_on" if stand == "after" else "stay_down")


def test_in_place_production_is_touched_from_its_stop_on() -> None:
    assert [step for step in IN_PLACE_STEPS if not in_place(step).touched] == ["begun"]


def test_journals_of_before_are_read_as_what_they_were() -> None:
    old = ClusterEntry.model_validate_json('{"step": "recovered", "at": "2026-11-26T12:00:00Z", "data_directory": "/data"}')
    known = read_cluster_replacement("main-1", [old])
    assert known is not None
    assert (known.in_place, known.found_unusable, known.touched, cluster_ending(known, "before")) == (False, False, False, "go_back")
