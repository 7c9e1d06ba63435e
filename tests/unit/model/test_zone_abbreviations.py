"""Abbreviations of time zones mean to pgkeeper at least what they mean to PostgreSQL."""

import re
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.model.zone_abbreviations import readings

_DAYS = [datetime(2026, month, 15, 12) for month in (1, 7)]  # noqa: DTZ001 - a clock on a wall
_LINE = re.compile(r"\s*([A-Z]{2,5})\s+(-?\d+)\s*D?\s*(?:#.*)?")


def _of_postgresql() -> dict[str, set[timedelta]]:
    """Return what PostgreSQL's own sets say, of which a server is given one; those that differ are alternatives to choose from."""
    found: dict[str, set[timedelta]] = defaultdict(set)
    for path in Path("/usr/share/postgresql").glob("*/timezonesets/*"):
        for line in path.read_text("latin-1").splitlines():
            if entry := _LINE.fullmatch(line):
                found[entry[1]].add(timedelta(seconds=int(entry[2])))
    return found


@pytest.mark.parametrize("day", _DAYS)
def test_where_postgresqls_sets_differ_about_an_abbreviation_it_is_ambiguous_here(day: datetime) -> None:
    for abbreviation, offsets in _of_postgresql().items():
        found = {reading.utcoffset(None) for reading in readings(abbreviation, day)}
        if len(offsets) > 1 or found:
            assert offsets <= found, abbreviation


def test_an_abbreviation_that_nobody_knows_has_no_reading() -> None:
    assert readings("XYZ", _DAYS[0]) == ()
    assert readings("Europe/Berlin", _DAYS[0]) == ()
