"""A moment is read as its writer meant it, or not at all."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.errors import UsageError
from pgkeeper.model.recovery_target import Target, make_target, parse_time, show_time

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is given


def target(**asked: object) -> Target:
    nothing: dict[str, object] = {"time": None, "name": None, "xid": None, "lsn": None, "immediate": False, "latest": False}
    return make_target(**{**nothing, "exclusive": False, "server_zone": "Europe/Berlin", **asked})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26 12:00:00+00",
        "2026-11-26T12:00:00Z",
        "2026-11-26 12:00 UTC",
        "2026-11-26 13:00:00.000000+01:00",
        "2026-11-26 13:00:00+0100",
        "2026-11-26 08:30:00-0330",
        "2026-11-26 13:00:00 Europe/Berlin",
        " 2026-11-26 07:00:00 America/New_York ",
    ],
)
def test_the_same_moment_is_the_same_in_every_zone(text: str) -> None:
    assert parse_time(text, "Europe/Berlin") == NOON


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_what_was_written_with_an_offset_is_read_as_it_was_meant(at: datetime, minutes: int) -> None:
    written = at.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_time(written.isoformat(), "UTC") == at


@given(MOMENTS)
def test_what_is_shown_in_utc_can_be_read_again(at: datetime) -> None:
    assert parse_time(show_time(at, "UTC"), "Europe/Berlin") == at


def test_without_a_zone_both_meanings_are_told() -> None:
    with pytest.raises(UsageError, match="time zone") as caught:
        parse_time("2026-11-26 12:00:00", "Europe/Berlin")
    assert "in UTC it would be 2026-11-26 12:00:00 UTC" in str(caught.value)
    assert "in Europe/Berlin it would be 2026-11-26 11:00:00 UTC" in str(caught.value)


def test_a_time_that_came_twice_is_refused_with_both_meanings() -> None:
    with pytest.raises(UsageError, match="two") as caught:
        parse_time("2026-10-25 02:30:00 Europe/Berlin", "UTC")
    assert "2026-10-25 02:30:00+02:00 or 2026-10-25 02:30:00+01:00" in str(caught.value)
    assert parse_time("2026-10-25 02:30:00+02:00", "UTC") + timedelta(hours=1) == parse_time("2026-10-25 02:30:00+01:00", "UTC")


def test_a_time_that_was_left_out_is_refused() -> None:
    with pytest.raises(UsageError, match="there was no"):
        parse_time("2026-03-29 02:30:00 Europe/Berlin", "UTC")
    assert parse_time("2026-03-29 03:30:00 Europe/Berlin", "UTC") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "12:00:00+01", "2026-02-30 12:00+01", "2026-11-26 25:00+01", "2026-11-26 12:00+25", "2026-11-26 12:00 Mars/Olympus",
     "2026-11-26 12:00:00.1234567+01", "1999-12-31 12:00+00", "2026-11-26 12:00 ../../etc/passwd", "2026-11-26 12:00+01 extra"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_time(text, "UTC")


def test_a_moment_is_shown_in_utc_and_as_the_servers_clock_had_it() -> None:
    assert show_time(NOON, "Europe/Berlin") == "2026-11-26 12:00:00 UTC (2026-11-26 13:00:00+01:00 Europe/Berlin)"
    assert show_time(NOON.replace(microsecond=250000), "Etc/UTC") == "2026-11-26 12:00:00.25 UTC"
    assert show_time(NOON, "No/Zone") == "2026-11-26 12:00:00 UTC"


def test_exactly_one_target_must_be_said() -> None:
    for asked in ({}, {"time": "2026-11-26 12:00Z", "latest": True}, {"name": "x", "xid": 5}):
        with pytest.raises(UsageError, match="--target-time"):
            target(**asked)
    assert target(latest=True) == Target(kind="latest")
    assert target(immediate=True) == Target(kind="immediate")
    assert target(time="2026-11-26 12:00Z", exclusive=True) == Target(kind="time", at=NOON, exclusive=True)
    assert target(lsn="0/16b3748") == Target(kind="lsn", lsn="0/16B3748")
    assert target(xid=731) == Target(kind="xid", xid=731)
    assert target(name="before") == Target(kind="name", name="before")


@pytest.mark.parametrize(
    "asked",
    [{"latest": True, "exclusive": True}, {"immediate": True, "exclusive": True}, {"name": "x", "exclusive": True}, {"name": ""},
     {"xid": 2}, {"lsn": "16B3748"}],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        target(**asked)


def test_a_target_is_described_in_words() -> None:
    assert target(time="2026-11-26 12:00Z", exclusive=True).describe() == "just before 2026-11-26 12:00:00 UTC"
    assert target(name="deploy").describe() == "mark deploy"
    assert target(latest=True).describe() == "the end of the log"
