"""Names on disk and in buckets: percent-encoded path segments and backup ids."""

import hashlib
import re
from datetime import UTC, datetime
from urllib.parse import quote, unquote

_ID = re.compile(r"^(?P<database>.+)-(?P<stamp>\d{8}T\d{6}Z)$")
_STAMP = "%Y%m%dT%H%M%SZ"
POSTGRES_NAME_BYTES = 63
"""Longest identifier PostgreSQL keeps (NAMEDATALEN - 1)."""


def encode_segment(name: str) -> str:
    """Return `name` as one path segment that is safe in file systems, object keys and command lines.

    ASCII letters, digits, `_`, `-` and `.` stay; all else is percent-encoded as UTF-8. A leading dot or dash is encoded too, so that
    a segment is never hidden, never `.` or `..`, and never looks like an option.
    """
    encoded = quote(name, safe="").replace("~", "%7E")
    if encoded[:1] in (".", "-"):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    return encoded


def decode_segment(segment: str) -> str:
    """Return the name that `encode_segment` was given."""
    return unquote(segment, errors="strict")


def backup_id(database: str, at: datetime) -> str:
    """Return the id of a backup of `database` begun at `at`: `<database>-<UTC yyyymmddThhmmssZ>`."""
    return f"{encode_segment(database)}-{at.astimezone(UTC).strftime(_STAMP)}"


def split_backup_id(value: str) -> tuple[str, datetime] | None:
    """Return database name and time of a backup id, or None when `value` is not one."""
    found = _ID.match(value)
    if found is None:
        return None
    try:
        database = decode_segment(found["database"])
        at = datetime.strptime(found["stamp"], _STAMP).replace(tzinfo=UTC)
    except (ValueError, UnicodeDecodeError):
        return None
    if encode_segment(database) != found["database"]:
        return None
    return database, at


def short_name(place: str) -> str:
    """Return a file name that stands for a place whose own path may be longer than a file's name can be: 32 hexadecimal digits."""
    return hashlib.sha256(place.encode()).hexdigest()[:32]


def fit_name(base: str, suffix: str) -> str:
    """Return `base + suffix`, with `base` cut at a character boundary so that PostgreSQL's 63 bytes hold."""
    room = POSTGRES_NAME_BYTES - len(suffix.encode())
    return base.encode()[:room].decode(errors="ignore") + suffix
