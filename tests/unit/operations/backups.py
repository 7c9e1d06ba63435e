"""Whole small backups in a directory, as far as their files go, for tests that need no server."""

import io
import tarfile
from datetime import datetime
from pathlib import Path

from pgkeeper.model.manifest import CONFIG_FILE, DATABASE_FILE, GLOBALS_FILE, SCHEMA_FILE, FileEntry
from pgkeeper.model.seal import Seal
from pgkeeper.postgres.understanding import DumpUnderstanding
from pgkeeper.stores.files import write_file, write_gzip
from pgkeeper.stores.local import LocalStore
from pgkeeper.stores.local_copy import LocalCopy
from tests.unit.builders import AT, manifest
from tests.unit.postgres.dumps import Dump

CLUSTER = "15-main"


def a_store(directory: Path) -> LocalStore:
    """Return a store with a seal of its own."""
    return LocalStore(directory / "store", "db1", Seal(b"k" * 32))


def publish(store: LocalStore, at: datetime = AT, dump: bytes = b"", promised: bytes = b"") -> LocalCopy:
    """Publish a backup of `dump`, whose manifest describes `promised`, where that is given: files and their hashes are right."""
    text = dump or Dump(tables=[(b"public.t", [b"1", b"2"])]).text()
    understanding = DumpUnderstanding()
    understanding.feed(promised or text)
    wanted = manifest(at).model_copy(update={"contents": understanding.finish()})
    with store.building(CLUSTER, "app", wanted.backup_id) as place:
        files: tuple[FileEntry, ...] = (
            write_gzip(place / DATABASE_FILE, [text]),
            write_file(place / SCHEMA_FILE, [b"PGDMP"]),
            write_gzip(place / GLOBALS_FILE, [b"-- roles\n"]),
            write_gzip(place / CONFIG_FILE, [_a_tar()]),
        )
        return store.publish(place, wanted.model_copy(update={"files": files}))


def _a_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("settings.txt"))
    return buffer.getvalue()
