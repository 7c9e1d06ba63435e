"""Abbreviations of time zones: which offsets from UTC somebody may mean who writes one behind a time.

Abbreviations belong to no standard: several places use the same one, and many people write CET for the time in Berlin all the year.
PostgreSQL takes an abbreviation for the offset that its file `timezonesets/Default` gives it, whatever the date is. A recovery that is an
hour off brings back what was to be undone, so here it counts only where it can mean one offset.
"""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "ACDT": ("+10:30 Australia/Adelaide",),
    "ACST": ("+09:30 Australia/Adelaide", "-04:00 America/Rio_Branco"),
    "ADT": ("-03:00 America/Halifax", "+04:00 Asia/Baghdad"),
    "AEDT": ("+11:00 Australia/Sydney",),
    "AEST": ("+10:00 Australia/Sydney",),
    "AKDT": ("-08:00 America/Anchorage",),
    "AKST": ("-09:00 America/Anchorage",),
    "AMT": ("-04:00 America/Manaus", "+04:00 Asia/Yerevan"),
    "AST": ("-04:00 America/Halifax", "+03:00 Asia/Riyadh"),
    "AWST": ("+08:00 Australia/Perth",),
    "BRT": ("-03:00 America/Sao_Paulo",),
    "BST": ("+01:00 Europe/London", "+06:00 Asia/Dhaka", "+11:00 Pacific/Bougainville"),
    "CAST": ("+09:30 Australia/Adelaide", "+08:00 Antarctica/Casey"),
    "CAT": ("+02:00 Africa/Maputo",),
    "CCT": ("+08:00 Asia/Shanghai", "+06:30 Indian/Cocos"),
    "CDT": ("-05:00 America/Chicago", "-04:00 America/Havana", "+09:00 Asia/Shanghai"),
    "CEST": ("+02:00 Europe/Berlin",),
    "CET": ("+01:00 Europe/Berlin",),
    "CST": ("-06:00 America/Chicago", "+08:00 Asia/Shanghai", "-05:00 America/Havana", "+09:30 Australia/Adelaide"),
    "EAST": ("+10:00 Australia/Brisbane", "-06:00 Pacific/Easter"),
    "EAT": ("+03:00 Africa/Nairobi",),
    "ECT": ("-05:00 America/Guayaquil", "-04:00 America/Puerto_Rico"),
    "EDT": ("-04:00 America/New_York", "+11:00 Australia/Sydney"),
    "EEST": ("+03:00 Europe/Helsinki",),
    "EET": ("+02:00 Europe/Helsinki",),
    "EST": ("-05:00 America/New_York", "+10:00 Australia/Sydney"),
    "GST": ("+04:00 Asia/Dubai", "-02:00 Atlantic/South_Georgia", "+10:00 Pacific/Guam"),
    "HDT": ("-09:00 America/Adak",),
    "HKT": ("+08:00 Asia/Hong_Kong",),
    "HST": ("-10:00 Pacific/Honolulu", "-10:00 America/Adak"),
    "ICT": ("+07:00 Asia/Bangkok",),
    "IDT": ("+03:00 Asia/Jerusalem",),
    "IST": ("+05:30 Asia/Kolkata", "+02:00 Asia/Jerusalem", "+01:00 Europe/Dublin"),
    "JST": ("+09:00 Asia/Tokyo",),
    "KST": ("+09:00 Asia/Seoul",),
    "MDT": ("-06:00 America/Denver",),
    "MEST": ("+02:00 Europe/Berlin",),
    "MESZ": ("+02:00 Europe/Berlin",),
    "MET": ("+01:00 Europe/Berlin",),
    "MEZ": ("+01:00 Europe/Berlin",),
    "MMT": ("+06:30 Asia/Yangon", "+05:00 Indian/Maldives"),
    "MSD": ("+04:00 Europe/Moscow",),
    "MSK": ("+03:00 Europe/Moscow",),
    "MST": ("-07:00 America/Denver", "+08:00 Asia/Kuala_Lumpur", "+06:30 Asia/Yangon"),
    "MYT": ("+08:00 Asia/Kuala_Lumpur",),
    "NDT": ("-02:30 America/St_Johns",),
    "NST": ("-03:30 America/St_Johns",),
    "NZDT": ("+13:00 Pacific/Auckland",),
    "NZST": ("+12:00 Pacific/Auckland",),
    "PDT": ("-07:00 America/Los_Angeles",),
    "PHT": ("+08:00 Asia/Manila",),
    "PKT": ("+05:00 Asia/Karachi",),
    "PST": ("-08:00 America/Los_Angeles", "+08:00 Asia/Manila"),
    "SAST": ("+02:00 Africa/Johannesburg", "+09:30 Australia/Adelaide"),
    "SGT": ("+08:00 Asia/Singapore",),
    "SST": ("-11:00 Pacific/Pago_Pago", "+08:00 Asia/Singapore"),
    "WAST": ("+08:00 Australia/Perth", "+07:00 Australia/Perth", "+02:00 Africa/Windhoek"),
    "WAT": ("+01:00 Africa/Lagos",),
    "WEST": ("+01:00 Europe/Lisbon",),
    "WET": ("+00:00 Europe/Lisbon",),
    "WIB": ("+07:00 Asia/Jakarta",),
    "WIT": ("+09:00 Asia/Jayapura",),
    "WITA": ("+08:00 Asia/Makassar",),
    "WST": ("+08:00 Australia/Perth", "+13:00 Pacific/Apia"),
}
"""What is written so, as an offset and a place where it is, or was. From the files `timezonesets/*.txt` of PostgreSQL 15 and the comments
there about conflicts, and the tz database; those that are in use today, and those with more than one meaning."""


def readings(abbreviation: str, local: datetime) -> tuple[timezone, ...]:
    """Return the offsets that `abbreviation` may mean behind a time of day; one where there is no doubt, none for an unknown name.

    These are the offsets that the table has, and for each place that has another offset on that day, that one too: 12:00 CET in July.
    """
    found: set[timedelta] = set()
    for known in _ABBREVIATIONS.get(abbreviation.upper(), ()):
        written, place = known.split()
        fixed = datetime.fromisoformat(f"2000-01-01T00:00:00{written}").tzinfo
        assert isinstance(fixed, timezone)
        found.add(fixed.utcoffset(None))
        found |= _clocks_other_than(fixed, place, local)
    return tuple(timezone(offset) for offset in sorted(found))


def _clocks_other_than(fixed: timezone, place: str, local: datetime) -> set[timedelta]:
    """Return the offsets of a place's own clocks at a time of day; nothing where `fixed` is one of them."""
    try:
        zone = ZoneInfo(place)
    except ZoneInfoNotFoundError:
        return set()
    if local.replace(tzinfo=fixed).astimezone(zone).replace(tzinfo=None) == local:
        return set()
    offsets = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return {offset for offset in offsets if offset is not None}
