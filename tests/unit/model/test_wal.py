"""Names and histories of the log are PostgreSQL's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.wal import Leg, Segment, format_lsn, parse_lsn, parting, segment_on, timeline_of, way_to

SIZES = st.sampled_from([1 << shift for shift in range(20, 31)])
POSITIONS = st.integers(0, (1 << 64) - 1)
TIMELINES = st.integers(1, (1 << 32) - 1)


@given(POSITIONS)
def test_a_position_is_read_as_it_is_written(position: int) -> None:
    assert parse_lsn(format_lsn(position)) == position


@given(TIMELINES, POSITIONS, SIZES)
def test_the_segment_of_a_position_is_found_by_its_name(timeline: int, position: int, size: int) -> None:
    segment = Segment.holding(timeline, position, size)
    assert Segment.parse(segment.name(size), size) == segment
    assert timeline_of(segment.name(size)) == timeline
    assert segment.begin(size) <= position < segment.begin(size) + size


@given(TIMELINES, POSITIONS, SIZES)
def test_names_of_a_timeline_sort_as_the_log_goes_on(timeline: int, position: int, size: int) -> None:
    segment = Segment.holding(timeline, position, size)
    following = Segment(timeline, segment.number + 1)
    if following.begin(size) < 1 << 64:
        assert segment.name(size) < following.name(size)


@pytest.mark.parametrize(
    "name", ["", "00000001000000000000000", "00000001000000000000000G", "000000010000000000000100", "00000002.history"]
)
def test_what_is_no_segment_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no WAL segment"):
        Segment.parse(name)


def test_a_name_is_the_one_that_postgresql_gives() -> None:
    assert Segment.holding(3, parse_lsn("16/B374D848")).name() == "0000000300000016000000B3"


def test_a_way_goes_over_the_timelines_of_the_history() -> None:
    history = "# made by hand\n1\t0/3000060\tno recovery target specified\n\n2\t0/5000000\tbefore 2026-11-26 04:12:50.1+00\n"
    way = way_to(3, history)
    assert way == (Leg(1, 0, 0x3000060), Leg(2, 0x3000060, 0x5000000), Leg(3, 0x5000000, None))
    # The segment that timelines part in is in the newer one's file as well, and read from there.
    assert [segment_on(way, number).timeline for number in (2, 3, 4, 5, 6)] == [1, 2, 2, 3, 3]


@pytest.mark.parametrize("history", ["3\t0/1000000\tx", "2\t0/2000000\tx\n1\t0/3000000\tx", "1\t0/3000000\tx\n2\t0/2000000\tx", "nonsense"])
def test_a_history_that_postgresql_refuses_is_refused(history: str) -> None:
    with pytest.raises(ValueError, match="history of timeline 3"):
        way_to(3, history)


def test_two_ways_are_the_same_up_to_where_the_first_one_leaves() -> None:
    one = way_to(3, "1\t0/5000000\twhy\n2\t0/9000000\twhy\n")
    assert parting(one, way_to(1, "")) == 0x5000000
    assert parting(one, way_to(2, "1\t0/5000000\twhy\n")) == 0x9000000
    assert parting(one, way_to(4, "1\t0/3000000\twhy\n")) == parting(way_to(4, "1\t0/3000000\twhy\n"), one) == 0x3000000
    assert parting(way_to(2, ""), way_to(1, "")) == 0
