"""A replacement of a cluster that was interrupted ends with one cluster or the other, never with writes lost."""

from datetime import UTC, datetime, timedelta

import pytest

from pgkeeper.model.cluster_replacement import CLUSTER_STEPS, ClusterEntry, ClusterStep, cluster_ending, read_cluster_replacement
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
