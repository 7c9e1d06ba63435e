"""A copy in a directory: plain files, as they were written."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pgkeeper.host.bounded_file import read_bounded
from pgkeeper.host.durable import fsync_directory, replace_file
from pgkeeper.model.bounds import MANIFEST_BYTES, RECORD_BYTES
from pgkeeper.model.errors import IntegrityError, UncheckedError
from pgkeeper.model.manifest import MANIFEST_FILE, FileEntry, Manifest, parse_manifest
from pgkeeper.model.progress import Progress
from pgkeeper.stores.copy import Copy, ProgramFile, Sealing
from pgkeeper.stores.files import OURS, read_checked, read_gzip

# No database has a column for the largest numbers that some file systems give.
_MOST = 2**63 - 1


class LocalCopy(Copy):
    """A published backup in the directory `path`."""

    def __init__(self, backup_id: str, cluster: str, database: str, created_at: datetime, path: Path, sealing: Sealing) -> None:
        super().__init__(backup_id, cluster, database, created_at, sealing)
        self.path = path

    @property
    def where(self) -> str:
        """Its directory."""
        return str(self.path)

    @property
    def version(self) -> tuple[int, int, int]:
        """Time, size and inode of the manifest's file."""
        found = (self.path / MANIFEST_FILE).stat()
        return found.st_mtime_ns & _MOST, found.st_size, found.st_ino & _MOST

    def manifest(self) -> Manifest:
        """Read the manifest."""
        return parse_manifest(self.manifest_bytes(), self.backup_id)

    def manifest_sha256(self) -> str:
        """Return the SHA-256 of the manifest as it lies there."""
        return hashlib.sha256(self.manifest_bytes()).hexdigest()

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Hold a shared lock of the manifest."""
        try:
            descriptor = os.open(self.path / MANIFEST_FILE, os.O_RDONLY)
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            # Somebody may have had it alone meanwhile, to remove it.
            if self.gone():
                raise self._gone_error()
            yield
        finally:
            os.close(descriptor)

    def whole(self) -> bool:
        """Look at the sizes of all files."""
        try:
            return not self.known_wrong() and all((self.path / entry.name).stat().st_size == entry.size for entry in self.manifest().files)
        except (OSError, IntegrityError):
            return False

    def gone(self) -> bool:
        """Look for the manifest."""
        try:
            os.lstat(self.path / MANIFEST_FILE)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def check(self, progress: Progress) -> None:
        """Read all files."""
        manifest = self.manifest()
        done = 0
        for entry in manifest.files:
            for block in self.read(entry):
                done += len(block)
                progress.advance(done, manifest.size_bytes)

    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """Read a file in blocks of at most 1 MiB."""
        return self._naming_itself(read_checked(self.path / entry.name, entry))

    def read_gzip(self, entry: FileEntry) -> Iterator[bytes]:
        """Read a compressed file."""
        return self._naming_itself(read_gzip(self.path / entry.name, entry))

    @contextmanager
    def as_file(self, entry: FileEntry) -> Iterator[ProgramFile]:
        """Yield the file itself."""
        yield ProgramFile(self.path / entry.name)

    @contextmanager
    def at_hand(self, directory: Path, progress: Progress) -> Iterator[Copy]:  # noqa: ARG002 - nothing needs fetching
        """Yield itself."""
        yield self

    def _record(self, name: str) -> bytes | None:
        try:
            return read_bounded(self.path / name, RECORD_BYTES)
        except FileNotFoundError:
            return None

    def _keep_record(self, name: str, content: bytes) -> None:
        replace_file(self.path / name, content)

    def _drop_record(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        fsync_directory(self.path)

    def _may_have_record(self, name: str) -> bool:
        try:
            os.lstat(self.path / name)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def manifest_bytes(self) -> bytes:
        """Return the manifest's file. Raises as `manifest` does; one that is too large to be one is not read."""
        try:
            return read_bounded(self.path / MANIFEST_FILE, MANIFEST_BYTES)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> IntegrityError:
        if isinstance(error, FileNotFoundError):
            return self._gone_error()
        kind = UncheckedError if error.errno in OURS else IntegrityError
        return kind(f"the manifest of backup {self.backup_id} cannot be read", error.strerror or "")
