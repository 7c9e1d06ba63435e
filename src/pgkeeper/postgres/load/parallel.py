"""Running an archive's entries several at a time, each after those it depends on, as `pg_restore --jobs` does.

An index is built beside any other work on its table. All else takes a lock that excludes others, so no two entries that work on one table
run at once: they would wait for each other, and two that work on two tables might do so for ever (pg_restore, has_lock_conflicts).
A routine is made while nothing else runs.
"""

from collections.abc import Callable, Sequence
from functools import partial

from pgkeeper.host.workers import Workers
from pgkeeper.postgres.load.entries import Entry
from pgkeeper.postgres.load.entry_owners import ROUTINES

_SHARING = ("INDEX ",)


def run_in_parallel(
    entries: Sequence[Entry],
    tables: frozenset[int],
    workers: int,
    run: Callable[[Entry, int], None],
    give_up: Callable[[], None],
) -> None:
    """Call `run` for every entry, with the number of a worker that does nothing else meanwhile.

    `tables` are the numbers of entries that are tables. The first error ends it: `give_up` is called to break what still runs, and the
    error is raised when that has ended.
    """
    waiting = list(entries)
    unfinished = {entry.number for entry in entries}
    idle = list(range(workers))
    running: dict[int, Entry] = {}
    with Workers(workers) as threads:
        try:
            while waiting or running:
                for entry in _ready(waiting, unfinished, list(running.values()), tables, len(idle)):
                    waiting.remove(entry)
                    worker = idle.pop()
                    running[worker] = entry
                    threads.begin(worker, partial(run, entry, worker))
                if not running:
                    # Dependencies go in a circle, which pg_dump breaks up: then the archive's own order is as good as any.
                    unfinished -= {number for entry in waiting for number in entry.after}
                    continue
                worker = threads.next_ended()
                unfinished.discard(running.pop(worker).number)
                idle.append(worker)
        except BaseException:
            give_up()
            raise


def _ready(waiting: Sequence[Entry], unfinished: set[int], running: list[Entry], tables: frozenset[int], most: int) -> list[Entry]:
    """Return up to `most` entries that may begin now."""
    chosen: list[Entry] = []
    for entry in waiting:
        if len(chosen) == most:
            break
        if unfinished & entry.after or any(_conflict(entry, other, tables) for other in (*running, *chosen)):
            continue
        chosen.append(entry)
    return chosen


def _conflict(one: Entry, other: Entry, tables: frozenset[int]) -> bool:
    # From its making until its privileges hold, anybody's code could call a routine.
    if one.is_one_of(ROUTINES) or other.is_one_of(ROUTINES):
        return True
    shared = one.after & other.after & tables
    return bool(shared) and not (one.is_one_of(_SHARING) and other.is_one_of(_SHARING))
