"""The manifest: what a backup says about itself, and by which everything that comes out of it is judged.

A manifest is one canonical JSON document. Its last field, `checksum`, is the SHA-256 of the rest, so that a damaged manifest is noticed
even where nothing authenticates it. Times are UTC, sizes are bytes, digests are lower-case hex SHA-256.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pgkeeper.model.errors import IntegrityError, UncheckedError

DATABASE_FILE = "database.sql.gz"
SCHEMA_FILE = "schema.dump"
GLOBALS_FILE = "globals.sql.gz"
CONFIG_FILE = "server-config.tar.gz"
MANIFEST_FILE = "manifest.json"
FORMAT = "pgkeeper.manifest/1"
_ANOTHER = "use another backup; `pgkeeper list` shows them"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Part):
    """One file of the backup, as it lies on disk."""

    name: str
    size: int
    sha256: Digest


class TableEntry(_Part):
    """One table's data in the dump: exact row count, and size and digest of its COPY text in dump order."""

    schema_name: str
    name: str
    rows: int
    bytes: int
    digest: Digest

    @property
    def label(self) -> str:
        """Return `schema.name` for people."""
        return f"{self.schema_name}.{self.name}"


class SequenceEntry(_Part):
    """One sequence's position."""

    schema_name: str
    name: str
    last_value: int
    is_called: bool


class LargeObjectsEntry(_Part):
    """All large objects together; `digest` does not depend on their order."""

    count: int = 0
    bytes: int = 0
    digest: Digest = "0" * 64


class OmittedTable(_Part):
    """A table that holds rows which PostgreSQL's own dump leaves out."""

    schema_name: str
    name: str
    reason: str


class Contents(_Part):
    """What was understood while the dump was read.

    `schema_digest` covers every schema statement regardless of order, without comments, session settings and tokens that change from
    dump to dump. `sql_bytes` is the uncompressed size.
    """

    sql_bytes: int
    tables: tuple[TableEntry, ...]
    sequences: tuple[SequenceEntry, ...]
    large_objects: LargeObjectsEntry
    schema_statements: int
    schema_digest: Digest

    @property
    def rows(self) -> int:
        """Return the number of rows of all tables."""
        return sum(table.rows for table in self.tables)


class Setting(_Part):
    """`ALTER DATABASE/ROLE … SET name = value`; `role` is None when it holds for everyone in the database."""

    role: str | None
    name: str
    value: str


class Privilege(_Part):
    """One granted privilege; `grantee` None is PUBLIC."""

    grantor: str
    grantee: str | None
    privilege: str
    grantable: bool


class Extension(_Part):
    """An installed extension."""

    name: str
    version: str
    schema_name: str


class DatabaseFacts(_Part):
    """What belongs to the database itself and stands in no dump made without `--create`.

    `privileges` is None while the database has PostgreSQL's default ones. `locale` is the ICU or builtin locale.
    """

    name: str
    owner: str
    encoding: str
    locale_provider: Literal["libc", "icu", "builtin"]
    lc_collate: str
    lc_ctype: str
    locale: str | None
    icu_rules: str | None
    collation_version: str | None
    tablespace: str
    connection_limit: int
    is_template: bool
    comment: str | None
    settings: tuple[Setting, ...]
    privileges: tuple[Privilege, ...] | None
    extensions: tuple[Extension, ...]
    has_public_schema: bool
    size_bytes: int
    tablespaces_used: tuple[str, ...]


class Role(_Part):
    """A role with its attributes; `password` is PostgreSQL's stored verifier, never a plain password."""

    name: str
    superuser: bool
    inherit: bool
    create_role: bool
    create_database: bool
    login: bool
    replication: bool
    bypass_rls: bool
    connection_limit: int
    password: str | None = Field(repr=False)
    valid_until: str | None
    comment: str | None
    settings: tuple[Setting, ...]


class Membership(_Part):
    """`member` belongs to `role`. `inherit` and `set` exist since PostgreSQL 16."""

    role: str
    member: str
    grantor: str
    admin: bool
    inherit: bool | None = None
    set: bool | None = None


class Tablespace(_Part):
    """A tablespace of the cluster."""

    name: str
    owner: str
    location: str


class ClusterFacts(_Part):
    """The PostgreSQL instance the backup came from, at the moment of its snapshot."""

    host: str
    label: str
    system_identifier: str
    server_version: str
    server_version_num: int
    timeline: int
    lsn: str
    roles: tuple[Role, ...]
    memberships: tuple[Membership, ...]
    tablespaces: tuple[Tablespace, ...]

    @property
    def major(self) -> int:
        """Return PostgreSQL's major version."""
        return self.server_version_num // 10000


class Manifest(_Part):
    """Everything a backup says about itself. `purpose` is `pre_restore` for one that was made just before its database was replaced."""

    format: Literal["pgkeeper.manifest/1"] = "pgkeeper.manifest/1"
    backup_id: str
    purpose: Literal["regular", "pre_restore"] = "regular"
    made_by: str
    started_at: datetime
    snapshot_at: datetime
    finished_at: datetime
    cluster: ClusterFacts
    database: DatabaseFacts
    contents: Contents
    omitted: tuple[OmittedTable, ...]
    warnings: tuple[str, ...]
    files: tuple[FileEntry, ...]

    @property
    def size_bytes(self) -> int:
        """Return the size of all files but the manifest."""
        return sum(entry.size for entry in self.files)

    def file(self, name: str) -> FileEntry:
        """Return the entry of one file. Raises IntegrityError when the manifest does not list it."""
        for entry in self.files:
            if entry.name == name:
                return entry
        raise IntegrityError(f"backup {self.backup_id} is not whole", f"its manifest lists no {name}")

    def public(self) -> dict[str, Any]:
        """Return the manifest as JSON data without password verifiers, for showing."""
        data: dict[str, Any] = self.model_dump(mode="json")
        for role in data["cluster"]["roles"]:
            role["password"] = None if role["password"] is None else "(stored, not shown)"
        return data


def _canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=True, indent=1).encode() + b"\n"


def _checksum(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(data)).hexdigest()


def _checksum_fits(content: bytes, checksum: object) -> bool:
    """Tell whether `checksum` stands at the end of a canonical document and is that of the rest, without writing the rest anew."""
    if not isinstance(checksum, str):
        return False
    rest = content.removesuffix(f',\n "checksum": "{checksum}"\n}}\n'.encode())
    return len(rest) < len(content) and hashlib.sha256(rest + b"\n}\n").hexdigest() == checksum


def dump_manifest(manifest: Manifest) -> bytes:
    """Return the manifest's file content, checksum included."""
    data = manifest.model_dump(mode="json")
    return _canonical({**data, "checksum": _checksum(data)})


def parse_manifest(content: bytes, backup_id: str) -> Manifest:
    """Return the manifest in `content`, which was found in the place of `backup_id`.

    Raises IntegrityError when a single byte is not as `dump_manifest` wrote it, or it speaks of another backup, and UncheckedError for
    the format of another version of pgkeeper.
    """
    where = f"the manifest of backup {backup_id} is damaged"
    try:
        data = json.loads(content)
        whole = isinstance(data, dict) and _canonical(data) == content and _checksum_fits(content, data.pop("checksum", None))
        if whole and data.get("format") != FORMAT:
            raise UncheckedError(
                f"backup {backup_id} was made by another version of pgkeeper", f"its format is {data.get('format')}", "upgrade"
            )
        manifest = Manifest.model_validate(data) if whole else None
    except (ValueError, RecursionError) as error:
        raise IntegrityError(where, str(error).splitlines()[0], _ANOTHER) from error
    if manifest is None:
        raise IntegrityError(where, "its checksum does not match", _ANOTHER)
    if manifest.backup_id != backup_id:
        raise IntegrityError(where, f"it speaks of {manifest.backup_id}")
    return manifest
