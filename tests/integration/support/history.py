"""A past for the tests: backups that look older, proofs they never passed, an expiry that has looked before, a clock that is wrong."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .product import Pgkeeper


def aged(directory: Path, by: timedelta) -> Path:
    """Make a published backup look as if it had been made earlier; returns its new directory."""
    from pgkeeper.model.manifest import dump_manifest, parse_manifest
    from pgkeeper.model.names import backup_id

    file = directory / "manifest.json"
    manifest = parse_manifest(file.read_bytes(), directory.name)
    older = manifest.model_copy(
        update={
            "backup_id": backup_id(manifest.database.name, manifest.started_at - by),
            "started_at": manifest.started_at - by,
            "snapshot_at": manifest.snapshot_at - by,
            "finished_at": manifest.finished_at - by,
        }
    )
    file.write_bytes(dump_manifest(older))
    return directory.rename(directory.with_name(older.backup_id))


def newest(pgkeeper: Pgkeeper, database: str) -> Path:
    """The directory of a database's newest backup."""
    found = [path for path in pgkeeper.published() if path.name.startswith(f"{database}-")]
    return max(found, key=lambda path: path.name)


def aged_copy(pgkeeper: Pgkeeper, directory: Path, by: timedelta) -> Path:
    """Put a copy of a published backup beside it that looks older, at once as a whole, without proofs and pin; returns its directory."""
    workshop = Path(tempfile.mkdtemp(prefix=".aging-", dir=directory.parent))
    try:
        ignored = shutil.ignore_patterns(".*", "proof-*", "pin.json")
        copy = aged(Path(shutil.copytree(directory, workshop / directory.name, ignore=ignored)), by)
        for path in (copy, *copy.iterdir()):
            os.chown(path, *pgkeeper.owner)
        return copy.rename(directory.parent / copy.name)
    finally:
        shutil.rmtree(workshop)


def history(pgkeeper: Pgkeeper, *ages: int, database: str = "app") -> list[Path]:
    """Backups of a new database, so many days old each, and at the end one of now."""
    pgkeeper.create_database(database)
    pgkeeper.backup(database)
    current = newest(pgkeeper, database)
    return [*(aged_copy(pgkeeper, current, timedelta(days=age)) for age in ages), current]


def settled(pgkeeper: Pgkeeper, looked: timedelta = timedelta(hours=1)) -> None:
    """Let expiry have looked before, and the clock have gone steadily for a month."""
    now = datetime.now(UTC)
    content = {"seen_at": str(now - looked), "trusted_since": str(now - timedelta(days=30)), "reason": "a test"}
    path = pgkeeper.state / "expiry.json"
    path.write_text(json.dumps(content))
    os.chown(path, *pgkeeper.owner)


def proven(pgkeeper: Pgkeeper, directory: Path, ago: timedelta = timedelta(), seconds: float = 12.5) -> None:
    """Put a genuine proof of a restore beside a backup, as if it had passed."""
    from pgkeeper.model.proof import Proof
    from pgkeeper.model.seal import Seal
    from pgkeeper.stores.local import LocalStore

    store = LocalStore(pgkeeper.backups, directory.parents[2].name, Seal((pgkeeper.state / "seal.key").read_bytes()))
    backup = store.find(directory.name)
    at = datetime.now(UTC) - ago
    backup.keep_proof(
        Proof(
            backup_id=backup.backup_id,
            manifest_sha256=backup.manifest_sha256(),
            level="restore",
            made_by="a test",
            started_at=at,
            finished_at=at,
            seconds=2 * seconds,
            recovery_seconds=seconds,
            tables=1,
            rows=100,
        )
    )
    os.chown(directory / "proof-restore.json", *pgkeeper.owner)


def clock_ahead(by: timedelta) -> dict[str, str]:
    """The environment in which a call believes that it is later (negative: earlier) than it is. Needs Debian's libfaketime."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{by.total_seconds():+.0f}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
