"""Building blocks of test manifests."""

from datetime import UTC, datetime

from pgkeeper.model.manifest import (
    ClusterFacts,
    Contents,
    DatabaseFacts,
    FileEntry,
    LargeObjectsEntry,
    Manifest,
    Role,
    SequenceEntry,
    TableEntry,
)
from pgkeeper.model.names import backup_id

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
VERIFIER = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"


def table(name: str = "posts", rows: int = 2, digest: str = "a") -> TableEntry:
    """Return a table's entry."""
    return TableEntry(schema_name="public", name=name, rows=rows, bytes=10 * rows, digest=digest * 64)


def contents(*tables: TableEntry, sequence: int = 7, is_called: bool = True, objects: int = 0, schema: str = "b") -> Contents:
    """Return a dump's contents."""
    return Contents(
        sql_bytes=1000,
        tables=tables or (table(),),
        sequences=(SequenceEntry(schema_name="public", name="posts_id_seq", last_value=sequence, is_called=is_called),),
        large_objects=LargeObjectsEntry(count=objects),
        schema_statements=12,
        schema_digest=schema * 64,
    )


def database_facts(name: str = "app") -> DatabaseFacts:
    """Return a database's facts."""
    return DatabaseFacts(
        name=name,
        owner="app",
        encoding="UTF8",
        locale_provider="libc",
        lc_collate="C.UTF-8",
        lc_ctype="C.UTF-8",
        locale=None,
        icu_rules=None,
        collation_version=None,
        tablespace="pg_default",
        connection_limit=-1,
        is_template=False,
        comment="it's ours",
        settings=(),
        privileges=None,
        extensions=(),
        has_public_schema=True,
        size_bytes=1_660_000_000,
        tablespaces_used=(),
    )


def manifest(at: datetime = AT, *, database: str = "app", files: tuple[FileEntry, ...] = (), size: int = 1_660_000_000) -> Manifest:
    """Return a manifest."""
    role = Role(
        name="app",
        superuser=False,
        inherit=True,
        create_role=False,
        create_database=False,
        login=True,
        replication=False,
        bypass_rls=False,
        connection_limit=-1,
        password=VERIFIER,
        valid_until=None,
        comment=None,
        settings=(),
    )
    return Manifest(
        backup_id=backup_id(database, at),
        made_by="pgkeeper test",
        started_at=at,
        snapshot_at=at,
        finished_at=at,
        cluster=ClusterFacts(
            host="db1",
            label="15-main",
            system_identifier="7300000000000000001",
            server_version="15.8",
            server_version_num=150008,
            timeline=1,
            lsn="0/1",
            roles=(role,),
            memberships=(),
            tablespaces=(),
        ),
        database=database_facts(database).model_copy(update={"size_bytes": size}),
        contents=contents(),
        omitted=(),
        warnings=(),
        files=files,
    )
