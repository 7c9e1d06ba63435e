"""To which moment a cluster is recovered, and how people say and read moments.

A time needs an offset or a zone: the same digits mean another moment on another host, and a recovery to the wrong hour looks right.
"""

import re
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.errors import UsageError
from pgkeeper.model.wal import format_lsn, parse_lsn

TargetKind = Literal["time", "name", "xid", "lsn", "immediate", "latest"]

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\s*(Z|UTC|[+-]\d\d(?::?\d\d)?|[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*)?"
)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL's epoch; nothing was committed before."""
_OPTIONS = {
    "time": "--target-time",
    "name": "--target-name",
    "xid": "--target-xid",
    "lsn": "--target-lsn",
    "immediate": "--immediate",
    "latest": "--latest",
}
_WITHOUT_BOUND = frozenset({"name", "immediate", "latest"})
"""Kinds that recovery_target_inclusive means nothing to (PostgreSQL documentation, "Recovery Target")."""


class Target(BaseModel):
    """Where recovery ends. `at` (UTC) belongs to `time`, `name`, `xid` and `lsn` to their kinds; `exclusive` ends just before it.

    `immediate` is the moment at which the backup is consistent, `latest` the end of the log.
    """

    model_config = ConfigDict(frozen=True)

    kind: TargetKind
    at: datetime | None = None
    name: str = ""
    xid: int = 0
    lsn: str = ""
    exclusive: bool = False

    def describe(self) -> str:
        """Return it in words."""
        words = {
            "time": show_time(self.at, "UTC") if self.at else "",
            "name": f"mark {self.name}",
            "xid": f"transaction {self.xid}",
            "lsn": f"position {self.lsn}",
            "immediate": "the end of the backup",
            "latest": "the end of the log",
        }[self.kind]
        return f"just before {words}" if self.exclusive else words


def make_target(
    *,
    time: str | None,
    name: str | None,
    xid: int | None,
    lsn: str | None,
    immediate: bool,
    latest: bool,
    exclusive: bool,
    server_zone: str,
) -> Target:
    """Return the target of what was asked for, of which exactly one must be given. Raises UsageError (exit status 2)."""
    asked = {
        "time": time is not None,
        "name": name is not None,
        "xid": xid is not None,
        "lsn": lsn is not None,
        "immediate": immediate,
        "latest": latest,
    }
    given = [kind for kind, is_given in asked.items() if is_given]
    if len(given) != 1:
        why = f"{' and '.join(_OPTIONS[kind] for kind in given)} exclude one another" if given else "no target is given"
        raise UsageError("say to which moment", why, f"one of {', '.join(_OPTIONS.values())}")
    (kind,) = given
    if exclusive and kind in _WITHOUT_BOUND:
        raise UsageError(f"--exclusive does not go with {_OPTIONS[kind]}", "", "it is for --target-time, --target-xid and --target-lsn")
    if time is not None:
        return Target(kind="time", at=parse_time(time, server_zone), exclusive=exclusive)
    if name is not None:
        if not name:
            raise UsageError("--target-name names no mark", "", "`pgkeeper pitr window` shows them")
        return Target(kind="name", name=name)
    if xid is not None:
        if xid < 3:
            raise UsageError(f"{xid} is no transaction", "those of users begin with 3")
        return Target(kind="xid", xid=xid, exclusive=exclusive)
    if lsn is not None:
        try:
            return Target(kind="lsn", lsn=format_lsn(parse_lsn(lsn)), exclusive=exclusive)
        except ValueError as error:
            raise UsageError("--target-lsn cannot be understood", str(error)) from None
    return Target(kind="immediate" if immediate else "latest")


def parse_time(text: str, server_zone: str) -> datetime:
    """Return the moment (UTC) that a person means: date, time, and an offset or the name of a zone.

    Raises UsageError (exit status 2) without one, telling what it would be in UTC and in `server_zone`; for a time that happened twice, or
    never, in its zone; and for what is no time.
    """
    found = _TIME.fullmatch(text.strip())
    example = "write it as 2026-11-26 12:00:00+01, or 2026-11-26 12:00:00 Europe/Berlin"
    if found is None:
        raise UsageError(f"{text!r} is no time", "", example)
    day, clock, zone = found.groups()
    try:
        local = datetime.fromisoformat(f"{day} {clock}")
    except ValueError as error:
        raise UsageError(f"{text!r} is no time", str(error), example) from None
    if not zone:
        meant = "; ".join(
            f"in {one} it would be {show_time(_in_zone(local, one, text), 'UTC')}" for one in dict.fromkeys(["UTC", server_zone])
        )
        raise UsageError(
            f"{text!r} does not say in which time zone", meant, f"write {text.strip()}+00, or {text.strip()} {server_zone}, or another one"
        )
    moment = _in_zone(local, zone, text)
    if moment < _EARLIEST:
        raise UsageError(f"{text!r} is before PostgreSQL's time", "nothing was committed before 2000")
    return moment


def show_time(at: datetime, zone: str) -> str:
    """Return a moment in UTC, and as the clocks of `zone` showed it, where that is another one."""
    utc = f"{_digits(at.astimezone(UTC))} UTC"
    try:
        local = at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return utc
    if not local.utcoffset():
        return utc
    return f"{utc} ({_digits(local)}{_offset(local)} {zone})"


def _digits(at: datetime) -> str:
    """Return date and time without zeros that say nothing."""
    text = f"{at:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{at.microsecond:06d}".rstrip("0") if at.microsecond else text


def _offset(at: datetime) -> str:
    return at.isoformat(timespec="seconds")[19:]


def _in_zone(local: datetime, zone: str, text: str) -> datetime:
    if zone in ("Z", "UTC"):
        return local.replace(tzinfo=UTC)
    if offset := _OFFSET.fullmatch(zone):
        sign, hours, minutes = offset.groups()
        try:
            return datetime.fromisoformat(f"{local.isoformat()}{sign}{hours}:{minutes or '00'}").astimezone(UTC)
        except (ValueError, OverflowError):
            raise UsageError(f"{zone} is no offset", "", "write it as +01 or -03:30") from None
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"{zone} is no time zone", "", "write an offset, as in +01, or a name such as Europe/Berlin") from None
    first, second = (local.replace(tzinfo=known, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        # Clocks were set: forward, and the time was left out, or back, and it came twice.
        if first.astimezone(UTC).astimezone(known).replace(tzinfo=None) != local:
            raise UsageError(f"there was no {text!r}", f"clocks in {zone} were set forward over it", "choose another time")
        both = " or ".join(f"{_digits(local)}{_offset(one)}" for one in (first, second))
        raise UsageError(f"there were two {text!r}", f"clocks in {zone} were set back", f"write {both}")
    return first.astimezone(UTC)
