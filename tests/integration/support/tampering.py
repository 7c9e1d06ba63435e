"""A backup with a file that promises something else, and whose manifest vouches for that file all the same."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from .product import Pgkeeper

DATABASE_FILE, SCHEMA_FILE = "database.sql.gz", "schema.dump"


def exchange(pgkeeper: Pgkeeper, backup: Path, files: Mapping[str, bytes]) -> None:
    """Put other files into a published backup, and renew their sizes and hashes in its manifest, whose promises stay."""
    from pgkeeper.model.manifest import dump_manifest, parse_manifest

    for name, content in files.items():
        (backup / name).write_bytes(content)
    manifest = parse_manifest((backup / "manifest.json").read_bytes(), backup.name)
    entries = tuple(
        entry.model_copy(update={"size": len(files[entry.name]), "sha256": hashlib.sha256(files[entry.name]).hexdigest()})
        if entry.name in files
        else entry
        for entry in manifest.files
    )
    (backup / "manifest.json").write_bytes(dump_manifest(manifest.model_copy(update={"files": entries})))
    forget_checks(backup)
    for path in backup.iterdir():
        os.chown(path, *pgkeeper.owner)


def put_back(pgkeeper: Pgkeeper, backup: Path, whole: Path) -> None:
    """Make a backup what it was, from a copy of its directory."""
    forget_checks(backup)
    for path in whole.iterdir():
        shutil.copyfile(path, backup / path.name)
        os.chown(backup / path.name, *pgkeeper.owner)


def forget_checks(backup: Path) -> None:
    """Remove what checks of a backup wrote down."""
    for path in (*backup.glob("proof-*.json"), *backup.glob("damage.json")):
        path.unlink()


def compressed(text: bytes) -> bytes:
    """A plain dump as a backup keeps it."""
    return gzip.compress(text, mtime=0)
