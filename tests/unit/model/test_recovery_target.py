"""Recovery targets: one moment and no other, whoever writes it wherever."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.errors import UsageError
from pgkeeper.model.recovery_target import Target, make_target, parse_time, show_time

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "UTC", "America/New_York", "Asia/Kolkata", "Pacific/Chatham", "Etc/GMT+5", "Pacific/Kiritimati")
NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)

moments = st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def target(**asked: Any) -> Target:  # noqa: ANN401 - as many types as options
    """Return a target as the command line asks for it."""
    nothing: dict[str, Any] = {
        "time": None,
        "name": None,
        "xid": None,
        "lsn": None,
        "immediate": False,
        "latest": False,
        "exclusive": False,
        "server_zone": BERLIN,
    }
    return make_target(**(nothing | asked))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26T12:00:00Z",
        "2026-11-26 12:00 UTC",
        "2026-11-26 12:00Z",
        "2026-11-26 13:00+01",
        "2026-11-26 13:00 +01:00",
        "2026-11-26T13:00:00.000000+0100",
        "2026-11-26 13:00 Europe/Berlin",
        "2026-11-26 07:00:00 America/New_York",
        "2026-11-26 17:30 Asia/Kolkata",
        "2026-11-26 06:30:00-0530",
        " 2026-11-26 07:00 Etc/GMT+5 ",
    ],
)
def test_the_same_moment_is_read_from_every_way_to_write_it(text: str) -> None:
    assert parse_time(text, BERLIN) == NOON


def test_microseconds_are_kept() -> None:
    assert parse_time("2026-11-26 12:00:00.250001Z", "UTC") == NOON + timedelta(microseconds=250_001)
    assert parse_time("2026-11-26 12:00:00.25Z", "UTC") == NOON + timedelta(milliseconds=250)


@given(moments, st.sampled_from(ZONES))
def test_what_is_shown_is_read_back_as_the_same_moment_in_utc_and_in_any_zone(at: datetime, zone: str) -> None:
    shown = show_time(at, zone)
    assert parse_time(shown.split(" (")[0], zone) == at
    if " (" in shown:
        there = shown.split(" (")[1].removesuffix(f" {zone})")
        assert parse_time(there, "UTC") == at


@given(moments, st.sampled_from(ZONES))
def test_a_clock_in_a_zone_is_its_one_moment_or_refused_with_both(at: datetime, zone: str) -> None:
    local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if local.replace(tzinfo=ZoneInfo(zone), fold=0).utcoffset() == local.replace(tzinfo=ZoneInfo(zone), fold=1).utcoffset():
        assert parse_time(f"{local} {zone}", "UTC") == at
    else:
        with pytest.raises(UsageError, match=re.escape(show_time(at, "UTC"))):
            parse_time(f"{local} {zone}", "UTC")


def test_a_time_without_a_zone_is_refused_with_what_it_would_be_here_and_there() -> None:
    with pytest.raises(UsageError) as raised:
        parse_time("2026-11-26 12:00", BERLIN)
    assert raised.value.exit_status == 2
    assert "in UTC it would be 2026-11-26 12:00:00 UTC (2026-11-26 13:00:00+01:00 Europe/Berlin)" in raised.value.why
    assert "in the server's zone 2026-11-26 11:00:00 UTC (2026-11-26 12:00:00+01:00 Europe/Berlin)" in raised.value.why
    assert raised.value.hint == "write 2026-11-26 12:00 UTC or 2026-11-26 12:00 Europe/Berlin"


@given(moments, st.sampled_from(ZONES))
def test_every_way_to_write_it_that_a_refusal_offers_is_taken(at: datetime, zone: str) -> None:
    local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    with pytest.raises(UsageError) as raised:
        parse_time(str(local), zone)
    read = {parse_time(way, zone) for way in raised.value.hint.removeprefix("write ").split(" or ")}
    assert {at, local.replace(tzinfo=UTC)} <= read
    assert all(show_time(one, "UTC") in raised.value.why for one in read)


def test_a_time_without_a_zone_in_a_server_zone_that_is_utc_or_unknown_is_offered_in_utc_only() -> None:
    for zone in ("UTC", "Etc/UTC", "GMT", "<+01>-01", "localtime", "../UTC"):
        with pytest.raises(UsageError) as raised:
            parse_time("2026-11-26 12:00", zone)
        assert raised.value.hint == "write 2026-11-26 12:00 UTC"


def test_the_hour_that_summer_time_repeats_is_refused_with_both_meanings() -> None:
    with pytest.raises(UsageError) as raised:
        parse_time("2026-10-25 02:30 Europe/Berlin", "UTC")
    assert "is there twice" in raised.value.what
    assert "2026-10-25 02:30:00+02:00, which is 2026-10-25 00:30:00 UTC" in raised.value.hint
    assert "2026-10-25 02:30:00+01:00, which is 2026-10-25 01:30:00 UTC" in raised.value.hint
    assert parse_time("2026-10-25 02:30+02:00", "UTC") < parse_time("2026-10-25 02:30+01:00", "UTC")


def test_without_a_zone_in_the_repeated_hour_both_meanings_are_offered() -> None:
    with pytest.raises(UsageError) as raised:
        parse_time("2026-10-25 02:30", BERLIN)
    assert raised.value.hint == "write 2026-10-25 02:30 UTC or 2026-10-25 02:30+02:00 or 2026-10-25 02:30+01:00"


def test_the_hour_that_summer_time_leaves_out_is_refused() -> None:
    with pytest.raises(UsageError, match="does not exist in Europe/Berlin"):
        parse_time("2026-03-29 02:30 Europe/Berlin", "UTC")
    assert parse_time("2026-03-29 03:00 Europe/Berlin", "UTC") == datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "now",
        "2026-11-26",
        "2026-11-26Z",
        "2026-02-29 12:00Z",
        "2026-13-01 12:00Z",
        "2026-11-26 24:00Z",
        "2026-11-26 23:59:60Z",
        "2026-11-26 12:00.5Z",
        "2026-11-26 12:00:00.1234567Z",
        "26.11.2026 12:00Z",
        "2026-11-26 12:00+16:00",
        "2026-11-26 12:00+01:60",
        "9999-12-31 23:59-12:00",
        "0001-01-01 00:00+12:00",
        "0001-01-01 00:00",
        "٢٠٢٦-11-26 12:00Z",
        "2026-11-26 12:00 UTC Europe/Berlin",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        parse_time(text, BERLIN)


@pytest.mark.parametrize(
    "zone", ["Europe/Atlantis", "CST8", "Europe", "../../etc/passwd", "localtime", "posixrules", "right/UTC", "Factory", "europe/atlantis"]
)
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_time(f"2026-11-26 12:00 {zone}", BERLIN)
    assert raised.value.exit_status == 2


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ("2026-07-01 12:00 CET", {"+01:00", "+02:00"}),
        ("2026-01-15 12:00 CEST", {"+01:00", "+02:00"}),
        ("2026-07-01 12:00 EST", {"-05:00", "-04:00", "+10:00"}),
        ("2026-01-15 12:00 IST", {"+05:30", "+02:00", "+01:00", "+00:00"}),
        ("2026-07-01 12:00 CST", {"-06:00", "-05:00", "-04:00", "+08:00", "+09:30"}),
        ("2026-07-01 12:00 BST", {"+01:00", "+06:00", "+11:00"}),
        ("2026-01-15 12:00 cst", {"-06:00", "-05:00", "+08:00", "+09:30", "+10:30"}),
        ("2026-03-29 02:30 CET", {"+01:00", "+02:00"}),
    ],
)
def test_an_abbreviation_that_can_mean_several_offsets_on_that_day_is_refused_with_each_to_paste(text: str, offsets: set[str]) -> None:
    clock, name = text[:16], text[17:]
    with pytest.raises(UsageError) as raised:
        parse_time(text, BERLIN)
    assert (raised.value.exit_status, raised.value.what) == (2, f"{text} is ambiguous")
    ways = re.findall(r"(\d{4}-\S+ \S+), which is (\S+ \S+ UTC)", raised.value.hint)
    assert {way for way, _ in ways} == {f"{clock}{offset}" for offset in offsets}, name
    assert all(parse_time(way, "UTC") == parse_time(utc, "UTC") for way, utc in ways)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-15 12:00 CET", "2026-01-15 11:00Z"),
        ("2026-07-01 12:00 CEST", "2026-07-01 10:00Z"),
        ("2026-10-25 02:30 CET", "2026-10-25 01:30Z"),
        ("2026-10-25 02:30 CEST", "2026-10-25 00:30Z"),
        ("2026-07-01 12:00 JST", "2026-07-01 03:00Z"),
        ("2026-07-01 12:00 GMT", "2026-07-01 12:00Z"),
    ],
)
def test_an_abbreviation_that_can_mean_one_offset_on_that_day_is_read_as_that(text: str, same: str) -> None:
    assert parse_time(text, BERLIN) == parse_time(same, "UTC")


def test_a_time_before_2000_is_refused() -> None:
    with pytest.raises(UsageError, match="before 2000"):
        parse_time("1999-12-31 23:59:59.999999Z", BERLIN)
    assert parse_time("2000-01-01 00:00Z", BERLIN).year == 2000


def test_a_moment_is_shown_in_utc_and_in_the_zone_but_only_once_where_that_is_utc() -> None:
    at = datetime(2026, 11, 26, 11, tzinfo=UTC)
    assert show_time(at, BERLIN) == "2026-11-26 11:00:00 UTC (2026-11-26 12:00:00+01:00 Europe/Berlin)"
    assert show_time(at + timedelta(milliseconds=250), "Etc/UTC") == "2026-11-26 11:00:00.25 UTC"
    assert show_time(at.astimezone(ZoneInfo(BERLIN)), "no/zone") == "2026-11-26 11:00:00 UTC"


def test_every_option_makes_its_target() -> None:
    assert target(time="2026-11-26 12:00Z") == Target(kind="time", at=NOON)
    assert target(name="before-migration") == Target(kind="name", name="before-migration")
    assert target(xid=1234) == target(xid="1234") == Target(kind="xid", xid=1234)
    assert target(lsn="0/3a000028") == Target(kind="lsn", lsn="0/3A000028")
    assert target(immediate=True) == Target(kind="immediate")
    assert target(latest=True) == Target(kind="latest")


def test_none_or_several_targets_are_refused_with_all_options() -> None:
    several: tuple[dict[str, Any], ...] = ({}, {"time": "2026-11-26 12:00Z", "latest": True}, {"name": "", "xid": 0})
    for asked in several:
        with pytest.raises(UsageError) as raised:
            target(**asked)
        for option in ("--target-time", "--target-name", "--target-xid", "--target-lsn", "--immediate", "--latest"):
            assert option in raised.value.hint
        assert raised.value.exit_status == 2


def test_exclusive_goes_with_what_postgresql_can_stop_before() -> None:
    for asked in ({"time": "2026-11-26 12:00Z"}, {"xid": "1234"}, {"lsn": "0/3A000028"}):
        assert target(exclusive=True, **asked).exclusive
    others: tuple[dict[str, Any], ...] = ({"name": "here"}, {"immediate": True}, {"latest": True})
    for other in others:
        with pytest.raises(UsageError, match=r"--exclusive does not go with --"):
            target(exclusive=True, **other)


@pytest.mark.parametrize(
    "asked",
    [{"xid": 0}, {"xid": 2}, {"xid": "-5"}, {"xid": "²"}, {"xid": (1 << 64) + 5}, {"lsn": "3A000028"}, {"name": ""}, {"name": "ä" * 32}],
)
def test_what_postgresql_would_not_take_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        target(**asked)


def test_a_transaction_is_known_by_its_number_with_or_without_epoch() -> None:
    assert target(xid=(7 << 32) + 1234).xid == 1234


def test_a_target_is_described_with_its_time_in_utc() -> None:
    assert target(time="2026-11-26 13:00:00.25+01").describe() == "2026-11-26 12:00:00.25 UTC"
    assert target(time="2026-11-26 12:00Z", exclusive=True).describe() == "the moment before 2026-11-26 12:00:00 UTC"
    assert target(xid=1234, exclusive=True).describe() == "the moment before transaction 1234"
    assert target(xid=1234).describe() == "the moment after transaction 1234"
    every = [
        target(name="x"),
        target(lsn="0/3000000"),
        target(lsn="0/3000000", exclusive=True),
        target(immediate=True),
        target(latest=True),
    ]
    assert len({one.describe() for one in every}) == len(every)
    assert not any(re.search(r"None|kind", one.describe()) for one in every)
