"""Manifests that say something else than they did: as genuine as any, since nobody signs them on the host."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .user import service_ids

if TYPE_CHECKING:
    from pgkeeper.model.manifest import Manifest


def changed_manifest(directory: Path, **changes: Any) -> None:  # noqa: ANN401 - a field of any type
    """Write a backup's manifest anew, with other values of some fields."""
    from pgkeeper.model.manifest import dump_manifest

    file = directory / "manifest.json"
    file.write_bytes(dump_manifest(read_manifest(directory).model_copy(update=changes)))
    os.chown(file, *service_ids())


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a backup."""
    from pgkeeper.model.manifest import parse_manifest

    return parse_manifest((directory / "manifest.json").read_bytes(), directory.name)


def replace_file(directory: Path, name: str, content: bytes) -> None:
    """Give a file of a backup another content, and its size and hash in the manifest with it. The digests of contents stay as they were."""
    path = directory / name
    path.write_bytes(content)
    os.chown(path, *service_ids())
    renew_entry(directory, name)


def renew_entry(directory: Path, name: str) -> None:
    """Let a backup's manifest promise the size and the hash that one of its files has."""
    with (directory / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.seek(0, os.SEEK_END)
    entries = [
        entry.model_copy(update={"size": size, "sha256": digest}) if entry.name == name else entry
        for entry in read_manifest(directory).files
    ]
    changed_manifest(directory, files=tuple(entries))


def change_dump(directory: Path, old: bytes, new: bytes) -> None:
    """Change the text of a backup's dump, with size and hash of the file renewed in the manifest."""
    text = gzip.decompress((directory / "database.sql.gz").read_bytes())
    assert text.count(old) >= 1, old
    replace_file(directory, "database.sql.gz", gzip.compress(text.replace(old, new, 1)))
