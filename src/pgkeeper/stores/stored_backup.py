"""A published backup in a directory, and what was found out about it: its files, and beside them its proofs and its pin."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from pgkeeper.host.durable import fsync_directory, replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.damage import LABEL as DAMAGE_LABEL
from pgkeeper.model.damage import Damage
from pgkeeper.model.errors import BackupGoneError, IntegrityError
from pgkeeper.model.manifest import MANIFEST_FILE, FileEntry, Manifest, parse_manifest
from pgkeeper.model.pin import LABEL as PIN_LABEL
from pgkeeper.model.pin import Pin
from pgkeeper.model.proof import LABEL, LEVELS, Level, Proof, at_least
from pgkeeper.model.seal import Seal
from pgkeeper.stores.files import read_checked, read_gzip


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
        """Read the manifest. Raises IntegrityError when it is damaged, BackupGoneError when it is gone."""
        return parse_manifest(self._manifest_bytes(), self.backup_id)

    def manifest_sha256(self) -> str:
        """Return the SHA-256 of the manifest as it lies there, by which proofs know it. Raises BackupGoneError when it is gone."""
        return hashlib.sha256(self._manifest_bytes()).hexdigest()

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Keep the backup from being removed for the length of the block: a shared lease that ends with its holder.

        Raises BackupGoneError when it was removed already.
        """
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

    def readable(self) -> bool:
        """Tell whether the manifest is there and whole."""
        try:
            self.manifest()
        except IntegrityError:
            return False
        return True

    def whole(self) -> bool:
        """Tell whether the manifest can be read, every file it names is there with its size, and no check has found damage.

        The files' content is not read.
        """
        try:
            return not self.damage() and all((self.path / entry.name).stat().st_size == entry.size for entry in self.manifest().files)
        except (OSError, IntegrityError):
            return False

    def gone(self) -> bool:
        """Tell whether the backup was removed since it was listed."""
        try:
            os.lstat(self.path / MANIFEST_FILE)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def pinned(self) -> bool:
        """Tell whether there is a pin, genuine or not; one that can't be looked for may be there."""
        try:
            os.lstat(self._pin_path)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def pin(self) -> Pin | None:
        """Return the pin, None when there is none. Raises IntegrityError for one that is damaged or not genuine; it counts all the same."""
        what = f"the pin of backup {self.backup_id} is damaged or not genuine"
        hint = "the backup is kept all the same; pin it again, or unpin it"
        try:
            pin = Pin.model_validate(self.seal.open(PIN_LABEL, self._pin_path.read_bytes()))
        except FileNotFoundError:
            if self.pinned():
                raise IntegrityError(what, "it is a link to nowhere", hint) from None
            return None
        except OSError as error:
            raise IntegrityError(what, error.strerror or "", hint) from error
        except (ValidationError, IntegrityError) as error:
            raise IntegrityError(what, error.why if isinstance(error, IntegrityError) else "it cannot be understood", hint) from error
        if pin.backup_id != self.backup_id:
            raise IntegrityError(what, f"it speaks of {pin.backup_id}", hint)
        return pin

    def keep_pin(self, pin: Pin) -> None:
        """Write the pin; it takes the place of an older one. Raises OSError."""
        replace_file(self._pin_path, self.seal.close(PIN_LABEL, pin.model_dump(mode="json")))

    def forget_pin(self) -> None:
        """Remove the pin. Raises OSError."""
        self._pin_path.unlink(missing_ok=True)
        fsync_directory(self.path)

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
        """Write a proof beside the backup; it takes the place of an older one of its level, and of damage that it disproves.

        Raises OSError.
        """
        replace_file(self._proof_path(proof.level), self.seal.close(LABEL, proof.model_dump(mode="json")))
        damage = self.damage()
        if damage is not None and proof.level in at_least(damage.level):
            self._damage_path.unlink(missing_ok=True)

    def damage(self) -> Damage | None:
        """Return what a check found wrong with the backup, None when nothing is known, or what is there is not genuine."""
        try:
            damage = Damage.model_validate(self.seal.open(DAMAGE_LABEL, self._damage_path.read_bytes()))
            return damage if (damage.backup_id, damage.manifest_sha256) == (self.backup_id, self.manifest_sha256()) else None
        except FileNotFoundError:
            return None
        except (OSError, ValidationError, IntegrityError) as error:
            log.warning("a record of damage does not count", path=str(self._damage_path), error=str(error).splitlines()[0])
            return None

    def keep_damage(self, level: Level, found: str, at: datetime) -> None:
        """Remember that a check found damage, and forget all proofs. Raises OSError, and IntegrityError when there is no manifest."""
        for proven in LEVELS:
            self._proof_path(proven).unlink(missing_ok=True)
        damage = Damage(backup_id=self.backup_id, manifest_sha256=self.manifest_sha256(), level=level, found=found, found_at=at)
        replace_file(self._damage_path, self.seal.close(DAMAGE_LABEL, damage.model_dump(mode="json")))

    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a file's bytes, checked against `entry`."""
        return read_checked(self.path / entry.name, entry)

    def read_gzip(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a compressed file's content, checked against `entry`."""
        return read_gzip(self.path / entry.name, entry)

    def _manifest_bytes(self) -> bytes:
        try:
            return (self.path / MANIFEST_FILE).read_bytes()
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> IntegrityError:
        if isinstance(error, FileNotFoundError):
            return self._gone_error()
        return IntegrityError(f"the manifest of backup {self.backup_id} cannot be read", error.strerror or "")

    def _gone_error(self) -> BackupGoneError:
        return BackupGoneError(
            f"there is no backup {self.backup_id} any more", "it was just removed", "`pgkeeper list` shows what is there"
        )

    @property
    def _pin_path(self) -> Path:
        return self.path / "pin.json"

    @property
    def _damage_path(self) -> Path:
        return self.path / "damage.json"

    def _proof_path(self, level: Level) -> Path:
        return self.path / f"proof-{level}.json"
