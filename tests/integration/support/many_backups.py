"""A store of very many backups: every one with a genuine manifest of its own, and files that all of them share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgkeeper.model.manifest import Manifest

CLUSTER = "15-main"
_FILES = ("database.sql.gz", "schema.dump", "globals.sql.gz", "server-config.tar.gz")


def fill_store(
    root: Path,
    host: str,
    count: int,
    *,
    databases: int = 4,
    checked_every: int = 10,
    key: bytes = b"",
    owner: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """Put `count` backups of some databases below `root`, the newest an hour old, and return their ids, newest first.

    With the host's seal `key` each tenth of them has passed a check of its contents, and each hundredth was restored. All of it is given to
    `owner`, a numeric user and group.
    """
    from pgkeeper.model.manifest import dump_manifest
    from pgkeeper.model.names import encode_segment
    from pgkeeper.model.proof import Proof
    from pgkeeper.model.seal import Seal
    from pgkeeper.stores.local_copy import LocalCopy

    home = root / encode_segment(host)
    shared = _shared_files(home)
    ids = []
    for number, manifest in enumerate(_manifests(count, databases, shared)):
        directory = home / CLUSTER / manifest.database.name / manifest.backup_id
        directory.mkdir(parents=True)
        for file in shared:
            os.link(file, directory / file.name)
        (directory / "manifest.json").write_bytes(dump_manifest(manifest))
        ids.append(manifest.backup_id)
        if key and number % checked_every == 0:
            at = manifest.started_at
            LocalCopy(manifest.backup_id, CLUSTER, manifest.database.name, at, directory, Seal(key)).keep_proof(
                Proof(
                    backup_id=manifest.backup_id, manifest_sha256=hashlib.sha256(dump_manifest(manifest)).hexdigest(),
                    level="restore" if number % (10 * checked_every) == 0 else "contents", made_by="a test",
                    started_at=at, finished_at=at, seconds=1.0, recovery_seconds=1.0, tables=1, rows=2,
                )
            )  # fmt: skip
    if owner is not None:
        for place, _, files in os.walk(root):
            for name in ("", *files):
                os.chown(Path(place) / name, *owner)
    return tuple(ids)


def _shared_files(home: Path) -> tuple[Path, ...]:
    place = home / ".shared"
    place.mkdir(parents=True)
    for name in _FILES:
        (place / name).write_bytes(name.encode())
        (place / name).chmod(0o600)
    return tuple(place / name for name in _FILES)


def _manifests(count: int, databases: int, files: tuple[Path, ...]) -> Iterator[Manifest]:
    from pgkeeper.model.manifest import FileEntry
    from tests.unit.builders import manifest

    entries = tuple(
        FileEntry(name=file.name, size=file.stat().st_size, sha256=hashlib.sha256(file.read_bytes()).hexdigest()) for file in files
    )
    now = datetime.now(UTC).replace(microsecond=0)
    for number in range(count):
        yield manifest(now - timedelta(hours=1 + number // databases), database=f"db{number % databases}", files=entries)
