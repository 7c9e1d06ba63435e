"""Entries run after those they depend on, several at a time, and never two that lock one table."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.postgres.load.entries import Entry
from pgkeeper.postgres.load.parallel import run_in_parallel

TABLES = frozenset({1, 2, 3})


def entry(number: int, after: frozenset[int], *, index: bool = False) -> Entry:
    return Entry(number, "INDEX public i app" if index else "CONSTRAINT public t c app", "app", (b"",), (b"",), (), after, post_data=True)


@st.composite
def archives(draw: st.DrawFn) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(10, 10 + draw(st.integers(0, 12))):
        earlier = draw(st.frozensets(st.sampled_from([found.number for found in entries] or [9]), max_size=2))
        tables = draw(st.frozensets(st.sampled_from(sorted(TABLES)), max_size=2))
        entries.append(entry(number, earlier | tables, index=draw(st.booleans())))
    return entries


@given(archives(), st.integers(1, 4))
def test_every_entry_runs_once_after_what_it_depends_on_and_with_nobody_in_its_way(entries: list[Entry], workers: int) -> None:
    lock = threading.Lock()
    running: list[tuple[Entry, int]] = []
    done: list[int] = []

    def run(one: Entry, worker: int) -> None:
        with lock:
            assert not {number for number in one.after if number >= 10} - set(done)
            for other, their_worker in running:
                assert worker != their_worker
                assert not (one.after & other.after & TABLES) or (one.is_one_of(["INDEX "]) and other.is_one_of(["INDEX "]))
            running.append((one, worker))
        time.sleep(0)
        with lock:
            running.remove((one, worker))
            done.append(one.number)

    run_in_parallel(entries, TABLES, workers, run, lambda: pytest.fail("nothing is given up"))
    assert sorted(done) == [one.number for one in entries]


def test_two_indexes_of_one_table_are_built_at_once() -> None:
    both = threading.Barrier(2, timeout=20)

    def meet(_entry: Entry, _worker: int) -> None:
        both.wait()

    run_in_parallel([entry(10, frozenset({1}), index=True), entry(11, frozenset({1}), index=True)], TABLES, 2, meet, lambda: None)


def test_the_first_error_breaks_what_still_runs_and_begins_nothing_more() -> None:
    broken, seen = threading.Event(), []

    def run(one: Entry, _worker: int) -> None:
        seen.append(one.number)
        if one.number == 10:
            raise ValueError("no such thing")
        assert broken.wait(20)
        raise ConnectionError("broken off")

    entries = [entry(number, frozenset()) for number in (10, 11, 12)]
    with pytest.raises(ValueError, match="no such thing"):
        run_in_parallel(entries, TABLES, 2, run, broken.set)
    assert sorted(seen) == [10, 11]


def test_a_circle_of_dependencies_is_run_all_the_same() -> None:
    done: list[int] = []
    entries = [entry(10, frozenset({11})), entry(11, frozenset({10}))]
    run_in_parallel(entries, TABLES, 2, lambda one, _worker: done.append(one.number), lambda: None)
    assert sorted(done) == [10, 11]


def test_a_routine_is_made_while_nothing_else_runs() -> None:
    routine = Entry(1, "FUNCTION public f() app", "app", (b"",), (b"",), (), frozenset(), post_data=True)
    running: set[int] = set()
    together: list[set[int]] = []

    def run(one: Entry, _worker: int) -> None:
        running.add(one.number)
        time.sleep(0.02)
        together.append(set(running))
        running.discard(one.number)

    run_in_parallel([entry(2, frozenset()), routine, entry(3, frozenset())], frozenset(), 3, run, lambda: None)
    assert {1} in together
    assert all(numbers == {1} for numbers in together if 1 in numbers)
