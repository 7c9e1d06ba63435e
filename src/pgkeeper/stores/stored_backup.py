"""A published backup in a directory, and what was found out about it: its files, and beside them its proofs."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from pgkeeper.host.logs import log
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import MANIFEST_FILE, FileEntry, Manifest, parse_manifest
from pgkeeper.model.proof import LABEL, LEVELS, Level, Proof
from pgkeeper.model.seal import Seal
from pgkeeper.stores.files import read_checked, read_gzip, replace_file


@dataclass(frozen=True)
class StoredBackup:
    """Where a published backup lies, and what its name says; nothing of its content was read. `seal` is its host's."""

    backup_id: str
    cluster: str
    database: str
    created_at: datetime
    path: Path
    seal: Seal

    def manifest(self) -> Manifest:
        """Read the manifest. Raises IntegrityError when it is damaged or gone."""
        return parse_manifest(self._manifest_bytes(), self.backup_id)

    def manifest_sha256(self) -> str:
        """Return the SHA-256 of the manifest as it lies there, by which proofs know it. Raises IntegrityError when it is gone."""
        return hashlib.sha256(self._manifest_bytes()).hexdigest()

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Keep the backup from being removed for the length of the block: a shared lease that ends with its holder."""
        try:
            descriptor = os.open(self.path / MANIFEST_FILE, os.O_RDONLY)
        except OSError as error:
            raise IntegrityError(f"backup {self.backup_id} is not there any more", error.strerror or "") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def readable(self) -> bool:
        """Tell whether the manifest is there and whole."""
        try:
            self.manifest()
        except IntegrityError:
            return False
        return True

    def proofs(self) -> dict[Level, Proof]:
        """Return the last proof of each level. One that is damaged, not genuine, or about another manifest does not count."""
        found = {}
        for level in LEVELS:
            path = self._proof_path(level)
            try:
                proof = Proof.model_validate(self.seal.open(LABEL, path.read_bytes()))
                if (proof.backup_id, proof.level, proof.manifest_sha256) == (self.backup_id, level, self.manifest_sha256()):
                    found[level] = proof
            except FileNotFoundError:
                continue
            except (OSError, ValidationError, IntegrityError) as error:
                log.warning("a proof does not count", path=str(path), error=str(error).splitlines()[0])
        return found

    def verified(self) -> dict[Level, datetime]:
        """Return when the last check of each level succeeded; nothing where that is unknown."""
        return {level: proof.finished_at for level, proof in self.proofs().items()}

    def keep_proof(self, proof: Proof) -> None:
        """Write a proof beside the backup; it takes the place of an older one of its level. Raises OSError."""
        replace_file(self._proof_path(proof.level), self.seal.close(LABEL, proof.model_dump(mode="json")))

    def forget_proofs(self) -> None:
        """Remove all proofs, since a check found that the backup is not what its manifest says."""
        for level in LEVELS:
            self._proof_path(level).unlink(missing_ok=True)

    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a file's bytes, checked against `entry`."""
        return read_checked(self.path / entry.name, entry)

    def read_gzip(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a compressed file's content, checked against `entry`."""
        return read_gzip(self.path / entry.name, entry)

    def _manifest_bytes(self) -> bytes:
        try:
            return (self.path / MANIFEST_FILE).read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"backup {self.backup_id} is not there any more") from None
        except OSError as error:
            raise IntegrityError(f"the manifest of backup {self.backup_id} cannot be read", error.strerror or "") from error

    def _proof_path(self, level: Level) -> Path:
        return self.path / f"proof-{level}.json"
