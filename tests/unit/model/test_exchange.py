"""Wherever an exchange is interrupted, it is known how far it came, and no server finds a mixture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.exchange import Move, Place, exchange, kept_directory, kept_tablespace, stand

DATA = Place(used="/data", coming="/data.next", kept="/data.before")


def tablespace(number: int) -> Place:
    return Place(used=f"/ts{number}/PG_15", coming=f"/ts{number}/.next/PG_15", kept=f"/ts{number}/.before/PG_15")


def begin(count: int, *, lost: bool = False) -> tuple[tuple[Move, ...], dict[str, str]]:
    """The renames for a cluster with `count` tablespaces, and what lies where before."""
    places = [place.model_copy(update={"lost": lost}) for place in (DATA, *(tablespace(number) for number in range(count)))]
    files = {place.coming: "new" for place in places}
    if not lost:
        files |= {place.used: "old" for place in places}
    return exchange(places[0], places[1:]), files


def take(moves: tuple[Move, ...], files: dict[str, str], count: int) -> None:
    for move in moves[:count]:
        assert move.target not in files
        files[move.target] = files.pop(move.source)


@given(st.integers(0, 4), st.booleans(), st.data())
def test_an_interrupted_exchange_is_known_and_can_be_taken_back(count: int, lost: bool, data: st.DataObject) -> None:
    moves, files = begin(count, lost=lost)
    before = dict(files)
    done = data.draw(st.integers(0, len(moves)))
    take(moves, files, done)
    word, number = stand(moves, files.__contains__)
    assert number == done
    assert word == ("before" if done == 0 else "after" if done == len(moves) else "between")
    take(tuple(move.back for move in reversed(moves[:done])), files, done)
    assert files == before


@given(st.integers(0, 4), st.booleans(), st.data())
def test_whenever_there_is_a_data_directory_all_tablespaces_are_of_the_same_cluster(
    count: int,
    lost: bool,
    data: st.DataObject,
) -> None:
    moves, files = begin(count, lost=lost)
    take(moves, files, data.draw(st.integers(0, len(moves))))
    if DATA.used in files:
        assert {files.get(tablespace(number).used) for number in range(count)} <= {files[DATA.used]}


def test_directories_that_somebody_else_moved_are_not_explained_away() -> None:
    moves, files = begin(1)
    files["/data.before"] = files.pop("/data")
    files["/data"] = "somebody's"
    with pytest.raises(ValueError, match="missing"):
        stand(moves, files.__contains__)


def test_what_is_kept_lies_where_a_rename_is_enough() -> None:
    assert (
        kept_directory("/var/lib/postgresql/15/main", "20261126T030000Z", "before") == "/var/lib/postgresql/15/main.before-20261126T030000Z"
    )
    assert kept_tablespace("/srv/fast", "20261126T030000Z", "next") == "/srv/fast/.pgkeeper-next-20261126T030000Z"
