"""Recovery targets: the moment that somebody wants back, as PostgreSQL can be told it.

What the kinds mean, and which of them can be exclusive, is PostgreSQL's (documentation, "Recovery Target").
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.errors import UsageError
from pgkeeper.model.restore_point import LONGEST_NAME
from pgkeeper.model.wal import format_lsn, parse_lsn
from pgkeeper.model.zone_abbreviations import readings

TargetKind = Literal["time", "name", "xid", "lsn", "immediate", "latest"]

_OPTIONS: dict[TargetKind, str] = {
    "time": "--target-time",
    "name": "--target-name",
    "xid": "--target-xid",
    "lsn": "--target-lsn",
    "immediate": "--immediate",
    "latest": "--latest",
}
_CAN_BE_EXCLUSIVE = frozenset[TargetKind]({"time", "xid", "lsn"})
_FIRST_XID = 3
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_FARTHEST_OFFSET = timedelta(hours=15, minutes=59)
_TIME = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[T ](?P<minute>\d{2}:\d{2})(?P<second>:\d{2})?(?P<fraction>\.\d{1,6})?"
    r"(?: ?(?P<utc>Z|UTC)| ?(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?| (?P<zone>[A-Za-z][\w+/-]*))?",
    re.ASCII,
)
_UTC_NAMES = frozenset({"UTC", "UCT", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich", "Universal", "Zulu"})
_NO_ZONES = re.compile(r"(?:localtime|posixrules|Factory|posix/.*|right/.*)")
"""Names that the system's directory of zones has and that mean another zone on every host, or count leap seconds."""


class Target(BaseModel):
    """What to recover to. `at` (UTC), `name`, `xid` and `lsn` are set for their kind only.

    `exclusive` means just before the target instead of with it. `xid` is as the log has it: without its epoch.
    """

    model_config = ConfigDict(frozen=True)

    kind: TargetKind
    at: datetime | None = None
    name: str = ""
    xid: int = 0
    lsn: str = ""
    exclusive: bool = False

    def describe(self) -> str:
        """Return it in words for people, times in UTC: a noun, which a sentence can go back to."""
        match self.kind:
            case "time":
                assert self.at is not None
                return f"{'the moment before ' if self.exclusive else ''}{show_time(self.at, 'UTC')}"
            case "name":
                return f"the mark {self.name}"
            case "xid":
                return f"the moment {'before' if self.exclusive else 'after'} transaction {self.xid}"
            case "lsn":
                return f"{'the moment before ' if self.exclusive else ''}position {self.lsn}"
            case "immediate":
                return "the end of the backup"
            case "latest":
                return "the end of the log"


def make_target(
    *,
    time: str | None,
    name: str | None,
    xid: int | str | None,
    lsn: str | None,
    immediate: bool,
    latest: bool,
    exclusive: bool,
    server_zone: str,
) -> Target:
    """Return the one target that was asked for.

    Raises UsageError (exit status 2) for none or several, for one that PostgreSQL would not take, for a time without a zone (see
    `parse_time`), and for an exclusive target of a kind that PostgreSQL stops at in one way only.
    """
    asked: dict[TargetKind, bool] = {
        "time": time is not None,
        "name": name is not None,
        "xid": xid is not None,
        "lsn": lsn is not None,
        "immediate": immediate,
        "latest": latest,
    }
    kinds = [kind for kind, given in asked.items() if given]
    if len(kinds) != 1:
        given = " and ".join(_OPTIONS[kind] for kind in kinds)
        raise UsageError(
            "exactly one target is needed",
            f"{given} were given" if given else "none was given",
            f"use one of {', '.join(_OPTIONS.values())}",
        )
    kind = kinds[0]
    if exclusive and kind not in _CAN_BE_EXCLUSIVE:
        raise UsageError(
            f"--exclusive does not go with {_OPTIONS[kind]}",
            "PostgreSQL can stop before a time, a transaction or a position only",
            "leave it away",
        )
    return Target(
        kind=kind,
        at=None if time is None else parse_time(time, server_zone),
        name="" if name is None else _name(name),
        xid=0 if xid is None else _xid(xid),
        lsn="" if lsn is None else _lsn(lsn),
        exclusive=exclusive,
    )


def parse_time(text: str, server_zone: str) -> datetime:
    """Return a moment in UTC from ISO 8601 with an offset, or with the name of a zone behind a blank.

    Raises UsageError (exit status 2) for everything that is no one moment: without offset or zone (shown as it would be in UTC and in the
    server's zone), with an abbreviation that can mean several offsets then, in an hour that a zone has twice or leaves out, on a day that
    does not exist, before 2000.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or (found["fraction"] and not found["second"]):
        raise UsageError(f"{text!r} is no time", "", "write it as 2026-11-26 12:00:00.25+01:00 or 2026-11-26 12:00 Europe/Berlin")
    clock = f"{found['day']} {found['minute']}{found['second'] or ''}{found['fraction'] or ''}"
    try:
        local = datetime.fromisoformat(f"{found['day']}T{found['minute']}{found['second'] or ':00'}{(found['fraction'] or '.0'):0<7}")
        if found["utc"]:
            at = local.replace(tzinfo=UTC)
        elif found["sign"]:
            at = local.replace(tzinfo=_offset(found)).astimezone(UTC)
        elif found["zone"]:
            at = _by_abbreviation(clock, local, found["zone"]) or _in_zone(local, _known_zone(found["zone"]))
        else:
            raise _without_zone(clock, local, server_zone)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time", str(error), "look at the calendar and the clock") from error
    if at < _EARLIEST:
        raise UsageError(f"{text!r} is too long ago", "times before 2000 are not known here", "is the year right?")
    return at


def show_time(at: datetime, zone: str) -> str:
    """Return a moment in UTC, and as it is in a zone; only once where the zone is UTC or not known here."""
    utc = f"{_clock(at.astimezone(UTC))} UTC"
    there = None if zone.removeprefix("Etc/") in _UTC_NAMES else _zone(zone)
    return utc if there is None else f"{utc} ({_with_offset(at.astimezone(there))} {zone})"


def _without_zone(clock: str, local: datetime, server_zone: str) -> UsageError:
    meanings = [f"in UTC it would be {show_time(local.replace(tzinfo=UTC), server_zone)}"]
    ways = [f"{clock} UTC"]
    zone = None if server_zone.removeprefix("Etc/") in _UTC_NAMES else _zone(server_zone)
    if zone is not None:
        there = _meanings(local, zone)
        meanings.append(f"in the server's zone {' or '.join(show_time(at, server_zone) for at in there)}")
        ways += [f"{clock} {server_zone}"] if len(there) == 1 else [f"{clock}{at.isoformat()[-6:]}" for at in there]
    return UsageError(f"{clock} has no zone", ", ".join(meanings), f"write {' or '.join(ways)}")


def _by_abbreviation(clock: str, local: datetime, name: str) -> datetime | None:
    """Return what a time with an abbreviation means; None for a name that is none. Raises UsageError where it can mean several offsets."""
    meanings = [local.replace(tzinfo=offset) for offset in readings(name, local)]
    if len(meanings) < 2:
        return meanings[0].astimezone(UTC) if meanings else None
    offsets = " or ".join(at.isoformat()[-6:] for at in meanings)
    ways = ", or ".join(f"{clock}{at.isoformat()[-6:]}, which is {show_time(at, 'UTC')}" for at in meanings)
    raise UsageError(f"{clock} {name} is ambiguous", f"{name} can mean {offsets} on that day", f"write {ways}")


def _in_zone(local: datetime, zone: ZoneInfo) -> datetime:
    """Return what a clock in a zone means. Raises UsageError for an hour that the zone has twice, or leaves out."""
    meanings = _meanings(local, zone)
    if len(meanings) == 1:
        return meanings[0].astimezone(UTC)
    first, second = meanings
    twice = first < second
    raise UsageError(
        f"{_clock(local)} {'is there twice' if twice else 'does not exist'} in {zone.key}",
        "the clock is set back then" if twice else "the clock is set forward then",
        f"write {_with_offset(first)}, which is {show_time(first, 'UTC')}, or {_with_offset(second)}, which is {show_time(second, 'UTC')}",
    )


def _meanings(local: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return what a clock in a zone may mean, with offsets: one moment, or two with the offsets before and after the clock is set.

    Where the hour is left out, the first is the later one.
    """
    before, after = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert before is not None
    assert after is not None
    if before == after:
        return (local.replace(tzinfo=timezone(before)),)
    return local.replace(tzinfo=timezone(before)), local.replace(tzinfo=timezone(after))


def _offset(found: re.Match[str]) -> timezone:
    offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    if offset > _FARTHEST_OFFSET or int(found["minutes"] or 0) > 59:
        raise ValueError(f"no place is {found['sign']}{found['hours']}:{found['minutes'] or '00'} from UTC")
    return timezone(-offset if found["sign"] == "-" else offset)


def _known_zone(name: str) -> ZoneInfo:
    if zone := _zone(name):
        return zone
    raise UsageError(f"{name} is no known time zone", "", "name one as Europe/Berlin is, or write an offset, e.g. +01:00")


def _zone(name: str) -> ZoneInfo | None:
    try:
        return None if _NO_ZONES.fullmatch(name) else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _clock(at: datetime) -> str:
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction}"


def _with_offset(at: datetime) -> str:
    return f"{_clock(at)}{at.isoformat()[-6:]}"


def _name(name: str) -> str:
    length = len(name.encode())
    if not name or length > LONGEST_NAME:
        raise UsageError(
            "the name of the target is none", f"it has {length} bytes, PostgreSQL takes 1 to {LONGEST_NAME}", "write it as it was marked"
        )
    return name


def _xid(xid: int | str) -> int:
    """Return a transaction's number as the log has it: the lower half of what pg_current_xact_id tells."""
    text = str(xid)
    if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 64 or int(text) % (1 << 32) < _FIRST_XID:
        raise UsageError(f"{text} is no transaction", f"their numbers begin with {_FIRST_XID}", "name one as pg_current_xact_id() does")
    return int(text) % (1 << 32)


def _lsn(lsn: str) -> str:
    try:
        return format_lsn(parse_lsn(lsn))
    except ValueError as error:
        raise UsageError(str(error), "", "write it as pg_current_wal_lsn() does") from error
