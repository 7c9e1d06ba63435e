"""How far a replay is, is told in bytes of the log that it has to go."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.replay import Replay, replay_to_time
from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGIN = 5 * DEFAULT_SEGMENT_BYTES + 40
END = 30 * DEFAULT_SEGMENT_BYTES + 7
# One a minute, from noon on.
ARCHIVED = [(Segment(1, number), NOON + timedelta(minutes=number)) for number in range(40)]


def test_it_goes_to_the_end_of_the_segment_that_was_archived_at_the_moment_or_next() -> None:
    for seconds in (0, -1, -59):
        replay = replay_to_time(BEGIN, END, NOON + timedelta(minutes=20, seconds=seconds), ARCHIVED)
        assert (replay.begin, replay.end) == (BEGIN, 21 * DEFAULT_SEGMENT_BYTES)


def test_it_never_goes_further_than_the_plan_nor_ends_before_it_begins() -> None:
    assert replay_to_time(BEGIN, END, NOON + timedelta(minutes=90), ARCHIVED).end == END
    assert replay_to_time(BEGIN, END, NOON + timedelta(minutes=30), ARCHIVED).end == END
    # As where all of it was archived late, once the provider was there again.
    late = [(segment, NOON + timedelta(days=1)) for segment, _ in ARCHIVED]
    assert replay_to_time(BEGIN, END, NOON + timedelta(minutes=20), late).end == 6 * DEFAULT_SEGMENT_BYTES


def test_a_segment_is_told_as_bytes_of_the_whole() -> None:
    replay = Replay(BEGIN, END)
    assert replay.done(Segment(1, 5).name()) == (0, END - BEGIN)
    assert replay.done(Segment(2, 10).name()) == (5 * DEFAULT_SEGMENT_BYTES - 40, END - BEGIN)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 16))
def test_there_is_never_more_done_than_there_is(begin: int, length: int, number: int) -> None:
    done, total = Replay(begin, begin + length).done(Segment(1, number).name())
    assert 0 <= done <= total


def test_what_is_no_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="no WAL segment"):
        Replay(0, 1).done("the database system is starting up")
