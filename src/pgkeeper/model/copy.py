"""A copy off site, as it describes itself in its bucket: the object `manifest.json` beside its encrypted files.

All of it can be read by whoever can read the bucket, but for the backup's manifest, which is encrypted; nobody without the key can make or
change one. Sizes are bytes, times UTC.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.names import split_backup_id

Method = Literal["openssl", "age"]
StoreName = Literal["local", "cloud", "replica"]
"""Where copies are: in a directory of the host, or in one of two buckets."""
LABEL = "copy"
"""As what a header is sealed."""
HEADER_FILE = "manifest.json"
"""The object that makes a copy: uploaded last, removed first."""
ENCRYPTED = ".enc"
"""What the name of an encrypted file ends with."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EncryptedFile(_Part):
    """One file of a copy. `name` is the plain file's, the object's is that with `.enc`; `size` is the ciphertext's.

    `tags` holds the tag of each `chunk_bytes` of ciphertext, the last being shorter.
    """

    name: str
    size: int
    chunk_bytes: int
    tags: tuple[str, ...]


class CopyHeader(_Part):
    """What a copy says of itself. `size_bytes` is that of all its encrypted files.

    `predecessor` is the id of the copy of the same database that was uploaded before, None for the first. `manifest` is the backup's
    manifest file as it lies on the host, encrypted, in base64; `manifest_sha256` is the plain one's, by which proofs know it.
    """

    format: Literal["pgkeeper.copy/1"] = "pgkeeper.copy/1"
    backup_id: str
    host: str
    cluster: str
    database: str
    created_at: datetime
    predecessor: str | None
    made_by: str
    method: Method
    key_id: str
    files: tuple[EncryptedFile, ...]
    manifest: str
    manifest_sha256: str

    @property
    def size_bytes(self) -> int:
        """Return the size of all encrypted files."""
        return sum(file.size for file in self.files)


def missing_predecessors(headers: Iterable[CopyHeader], now: datetime, days: int) -> tuple[tuple[str, str], ...]:
    """Return which copies name a predecessor that is not there although its time off site (`days`) is not over: (copy, predecessor).

    That copy was removed, by its owner or by whoever else may write to the bucket; nothing of this host has to be known to see it.
    """
    there = {(header.cluster, header.backup_id): header for header in headers}
    missing = []
    for header in there.values():
        named = split_backup_id(header.predecessor or "")
        if named and now - named[1] < timedelta(days=days) and (header.cluster, header.predecessor) not in there:
            missing.append((header.backup_id, header.predecessor or ""))
    return tuple(sorted(missing))


def tag_context(host: str, cluster: str, backup_id: str, name: str) -> str:
    """Return what binds a file's tags to its place: a file moved to another copy, or swapped within one, has none that fit.

    The parts are kept apart by a byte that no name holds.
    """
    return f"{host}\0{cluster}\0{backup_id}\0{name}"
