"""Log as production writes it: rows of the demo database, copied into tables with an index, a commit after each portion."""

from __future__ import annotations

from itertools import count, cycle

from .archived_cluster import SEGMENT_BYTES, ArchivedCluster

# The tables that hold most of a database, a large one or a small one, and their keys.
_TABLES = {
    "raw_updates": "update_id",
    "metrics": "post_id",
    "audit_log": "entry_id",
    "post_comments": "comment_id",
    "deliveries": "delivery_id",
    "post_versions": "post_id",
    "post_media": "media_id",
}
_MAKE = "CREATE TABLE written_{table} AS TABLE {table} WITH NO DATA; CREATE INDEX ON written_{table} ({key})"
_PORTION = "TRUNCATE written_{table}; INSERT INTO written_{table} SELECT * FROM {table} TABLESAMPLE SYSTEM ({percent})"
# This table is as large in every database; a few of its rows at a time.
_LITTLE = "INSERT INTO written_post_versions SELECT * FROM post_versions OFFSET {first} LIMIT {rows}"
_ROWS = 8000
# About 0.75 MB of log.
_LITTLE_ROWS = 1000
_LITTLE_BYTES = 2 << 20
# About as much as a segment and more holds, so that what is written twice is not found again by a compressor.
_PORTION_BYTES = 64e6


def few_rows(number: int, rows: int) -> str:
    """Return SQL, without its end, that copies so many rows in the demo database, others for each number; about 0.75 kB of log for each."""
    return _LITTLE.format(first=number * rows % _ROWS, rows=rows)


class LogWriter:
    """Writes as much log as is asked for into an archived cluster."""

    def __init__(self, cluster: ArchivedCluster, database: str) -> None:
        self._cluster = cluster
        self._database = database
        size = int(cluster.query(f"SELECT pg_database_size('{database}')"))
        self._percent = min(100.0, _PORTION_BYTES / size * 100)
        for table, key in _TABLES.items():
            cluster.query(_MAKE.format(table=table, key=key), database)

    def write(self, segments: int) -> None:
        """Write log until so many segments were begun, or a few more. What was written is written over the next time."""
        begin = self._position()
        for table in cycle(_TABLES):
            self._cluster.query(_PORTION.format(table=table, percent=self._percent), self._database)
            if self._position() - begin >= segments * SEGMENT_BYTES:
                return

    def fill(self) -> None:
        """Write log until the present segment is nearly full, without beginning another."""
        for number in count():
            if self._position() % SEGMENT_BYTES >= SEGMENT_BYTES - _LITTLE_BYTES:
                return
            self._cluster.query(few_rows(number, _LITTLE_ROWS), self._database)

    def _position(self) -> int:
        return int(self._cluster.query("SELECT pg_current_wal_insert_lsn() - '0/0'"))
