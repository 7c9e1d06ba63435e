"""The catalog's tables, the same in SQLite and PostgreSQL. A change here needs a migration beside it."""

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Index, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator

REVISION = "0001"
"""The newest migration: what a catalog of this release says of itself."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC; SQLite itself knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Write UTC."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Any text, also what came out of undecodable bytes: what no database stores is written as an escape."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write what can be stored."""
        return value and value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    # Playbooks name jobs, and give the same name to jobs on several hosts of a fleet.
    Column("host", Words, primary_key=True),
    Column("job_id", Words, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("operation", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("phase", Words, nullable=False),
    Column("done_bytes", BigInteger, nullable=False),
    Column("total_bytes", BigInteger),
    Column("started_at", Moment, nullable=False),
    Column("heartbeat_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("result", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
)

job_events = Table(
    "job_events",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("host", Words, nullable=False),
    Column("job_id", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", Words, nullable=False),
    Column("text", Words, nullable=False),
    Index("job_events_by_job", "host", "job_id", "number"),
)

manifests = Table(
    "manifests",
    metadata,
    Column("host", Words, primary_key=True),
    Column("path", Words, primary_key=True),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("summary", JSON, nullable=False),
)

database_sizes = Table(
    "database_sizes",
    metadata,
    Column("host", Words, primary_key=True),
    Column("cluster", Words, primary_key=True),
    Column("database", Words, primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)
