"""What manifests say, so that a list of backups need not read them all."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from pgkeeper.catalog.tables import manifests


@dataclass(frozen=True)
class Version:
    """Which content of a file was read: one that is written anew, or put in its place, has another."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True)
class Entry:
    """What a manifest said, in that version of its file."""

    version: Version
    summary: dict[str, Any]


def read_index(connection: Connection, host: str) -> dict[str, Entry]:
    """Return the host's entries by the path of the manifest."""
    query = select(manifests).where(manifests.c.host == host)
    return {row.path: Entry(Version(row.mtime_ns, row.size, row.inode), row.summary) for row in connection.execute(query)}


def change_index(connection: Connection, host: str, entries: Mapping[str, Entry], gone: Iterable[str]) -> None:
    """Put `entries` in the place of whatever stands there under their paths, and forget those under the paths `gone`."""
    for path in (*gone, *entries):
        connection.execute(delete(manifests).where(manifests.c.host == host, manifests.c.path == path))
    _insert(connection, host, entries)


def replace_index(connection: Connection, host: str, entries: Mapping[str, Entry]) -> None:
    """Put `entries` in the place of all that is known of the host's manifests."""
    connection.execute(delete(manifests).where(manifests.c.host == host))
    _insert(connection, host, entries)


def _insert(connection: Connection, host: str, entries: Mapping[str, Entry]) -> None:
    rows = [{"host": host, "path": path, **asdict(entry.version), "summary": entry.summary} for path, entry in entries.items()]
    if rows:
        connection.execute(insert(manifests), rows)
