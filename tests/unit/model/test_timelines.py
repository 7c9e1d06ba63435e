"""Histories are read as PostgreSQL reads them, whatever it wrote into them."""

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.timelines import Leg, leads_alike, leg_at, segment_on, way_to
from pgkeeper.model.wal import format_lsn

BYTES = 1 << 20
"""Of a segment: small, so that timelines part within one another's."""
END = 40 * BYTES


@dataclass(frozen=True)
class Entry:
    """TimeLineHistoryEntry (access/timeline.h); 0 is InvalidXLogRecPtr."""

    timeline: int
    begin: int
    end: int


def entries_of(timeline: int, history: str) -> list[Entry]:
    """Return what readTimeLineHistory returns, the newest first."""
    found: list[Entry] = []
    before = 0
    for line in history.splitlines():
        if not line.strip():
            continue
        parent, switch = line.split("\t")[:2]
        high, low = switch.split("/")
        assert not found or int(parent) > found[0].timeline, "Timeline IDs must be in increasing sequence."
        found.insert(0, Entry(int(parent), before, int(high, 16) << 32 | int(low, 16)))
        before = found[0].end
    assert not found or found[0].timeline < timeline, "Timeline IDs must be less than child timeline's ID."
    return [Entry(timeline, before, 0), *found]


def timeline_at(position: int, entries: list[Entry]) -> int:
    """Return what tliOfPointInHistory returns."""
    for one in entries:
        if (one.begin == 0 or one.begin <= position) and (one.end == 0 or position < one.end):
            return one.timeline
    raise AssertionError("timeline history was not contiguous")


def file_read(number: int, entries: list[Entry]) -> int:
    """Return the timeline whose file XLogFileReadAnyTLI asks for first."""
    return next(one.timeline for one in entries if one.begin == 0 or number >= one.begin // BYTES)


@st.composite
def archives(draw: st.DrawFn) -> dict[int, str]:
    """Draw the histories of a cluster that was recovered again and again: along any of its timelines, to any position from 1 on.

    So replacements, undos and clones do it. Where a timeline begins behind the position it was recovered to, recovery ended on an ancestor;
    still PostgreSQL writes the timeline that it was told to follow (writeTimeLineHistory, called by StartupXLOG), under the first number
    above that without a history (findNewestTimeLine).
    """
    histories = {1: ""}
    for _ in range(draw(st.integers(0, 7))):
        followed = draw(st.sampled_from(sorted(histories)))
        ended = draw(st.one_of(st.integers(1, END), st.integers(1, 39).map(lambda number: number * BYTES)))
        number = followed + 1
        while number in histories:
            number += 1
        parents = histories[followed]
        between = "\n" if parents else ""
        histories[number] = f"{parents}{between}{followed}\t{format_lsn(ended)}\tbefore 2026-11-26 04:12:50.1+00\n"
    return histories


POSITIONS = st.one_of(st.integers(0, END + BYTES), st.integers(0, 41).map(lambda number: number * BYTES))


@given(archives(), st.lists(POSITIONS, min_size=1, max_size=20))
def test_a_position_lies_on_the_timeline_that_postgresql_finds_it_on(histories: dict[int, str], positions: list[int]) -> None:
    for timeline, history in histories.items():
        way, entries = way_to(timeline, history), entries_of(timeline, history)
        edges = [edge for one in entries for edge in (one.begin - 1, one.begin, one.end) if edge >= 0]
        for position in [*positions, *edges]:
            assert leg_at(way, position).timeline == timeline_at(position, entries)
            assert segment_on(way, position // BYTES, BYTES).timeline == file_read(position // BYTES, entries)


@given(archives())
def test_legs_follow_one_another_and_none_is_empty(histories: dict[int, str]) -> None:
    for timeline, history in histories.items():
        way = way_to(timeline, history)
        assert (way[0].begin, way[-1].timeline, way[-1].end) == (0, timeline, None)
        assert [leg.end for leg in way[:-1]] == [leg.begin for leg in way[1:]]
        assert all(leg.end is None or leg.begin < leg.end for leg in way)


@given(archives(), POSITIONS)
def test_ways_lead_alike_to_a_position_where_every_byte_up_to_it_is_on_the_same_timeline(histories: dict[int, str], position: int) -> None:
    entries = {timeline: entries_of(timeline, history) for timeline, history in histories.items()}
    edges = sorted({0, position, *(one.begin for some in entries.values() for one in some if one.begin <= position)})
    over = {timeline: [timeline_at(edge, some) for edge in edges] for timeline, some in entries.items()}
    ways = {timeline: way_to(timeline, history) for timeline, history in histories.items()}
    for one, other in product(histories, repeat=2):
        assert leads_alike(ways[one], ways[other], position) is (over[one] == over[other])


def test_a_way_goes_over_the_timelines_of_the_history() -> None:
    history = "# made by hand\n1\t0/3000060\tno recovery target specified\n\n2\t0/5000000\tbefore 2026-11-26 04:12:50.1+00\n"
    way = way_to(3, history)
    assert way == (Leg(1, 0, 0x3000060), Leg(2, 0x3000060, 0x5000000), Leg(3, 0x5000000, None))
    # The segment that timelines part in is in the newer one's file as well, and read from there.
    assert [segment_on(way, number).timeline for number in (2, 3, 4, 5, 6)] == [1, 2, 2, 3, 3]


@pytest.mark.parametrize("history", ["3\t0/1000000\tx", "2\t0/2000000\tx\n1\t0/3000000\tx", "nonsense"])
def test_a_history_that_postgresql_refuses_is_refused(history: str) -> None:
    with pytest.raises(ValueError, match="history of timeline 3"):
        way_to(3, history)


def test_a_timeline_that_holds_no_position_is_left_out() -> None:
    # Production went back along timeline 2 to a position before that begins.
    assert way_to(3, "1\t0/3000000\tx\n2\t0/2000000\tx\n") == (Leg(1, 0, 0x2000000), Leg(3, 0x2000000, None))


def test_the_first_timeline_has_no_history() -> None:
    assert way_to(1, "7\tnonsense") == (Leg(1, 0, None),)
