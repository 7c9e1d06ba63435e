"""Names of the log's segments are PostgreSQL's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.wal import Segment, format_lsn, parse_lsn, timeline_of

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
