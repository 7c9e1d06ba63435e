"""A copy: one backup in one store, and what was found out about it: its files, and beside them its proofs and its pin."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from pgkeeper.host.logs import log
from pgkeeper.model.damage import LABEL as DAMAGE_LABEL
from pgkeeper.model.damage import Damage
from pgkeeper.model.errors import BackupGoneError, IntegrityError, UsageError
from pgkeeper.model.manifest import FileEntry, Manifest
from pgkeeper.model.pin import LABEL as PIN_LABEL
from pgkeeper.model.pin import Pin
from pgkeeper.model.progress import Progress
from pgkeeper.model.proof import LABEL as PROOF_LABEL
from pgkeeper.model.proof import LEVELS, Level, Proof, at_least

PIN_FILE = "pin.json"
DAMAGE_FILE = "damage.json"


def proof_file(level: Level) -> str:
    """Return the name of the record of a passed check."""
    return f"proof-{level}.json"


RECORDS = frozenset({PIN_FILE, DAMAGE_FILE, *(proof_file(level) for level in LEVELS)})
"""Names of what may lie beside a copy's files without being one."""


class Sealing(Protocol):
    """What the records of a store are sealed with."""

    def close(self, label: str, document: Mapping[str, Any]) -> bytes:
        """Return the content of a file that holds `document`, sealed as a `label`."""

    def open(self, label: str, content: bytes) -> dict[str, Any]:
        """Return the document in `content`. Raises IntegrityError unless it was sealed as a `label` by somebody we trust."""


@dataclass(frozen=True)
class ProgramFile:
    """A file as a program that we start can read it: under `path`, if it gets our open files `descriptors`."""

    path: Path
    descriptors: Sequence[int] = ()


class Copy(ABC):
    """One backup in one store; nothing of its content was read yet.

    `where` tells people where it lies. Besides what is said below, every method raises PgkeeperError where the store cannot be reached.
    """

    def __init__(self, backup_id: str, cluster: str, database: str, created_at: datetime, sealing: Sealing) -> None:
        self.backup_id = backup_id
        self.cluster = cluster
        self.database = database
        self.created_at = created_at
        self._sealing = sealing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Copy) and type(self) is type(other) and self.where == other.where

    def __hash__(self) -> int:
        return hash(self.where)

    @property
    @abstractmethod
    def where(self) -> str:
        """Where it lies, for people."""

    @property
    @abstractmethod
    def version(self) -> tuple[int, int, int]:
        """Numbers that are others once the manifest was written anew or replaced. Raises OSError."""

    @abstractmethod
    def manifest(self) -> Manifest:
        """Read the manifest. Raises IntegrityError when it is damaged or not genuine, BackupGoneError when it is gone."""

    @abstractmethod
    def manifest_sha256(self) -> str:
        """Return the SHA-256 of what describes the copy, by which its proofs know it. Raises as `manifest` does."""

    @abstractmethod
    def being_read(self) -> AbstractContextManager[None]:
        """Keep the copy from being removed by this host for the length of the block: a shared lease that ends with its holder.

        Raises BackupGoneError when it was removed already.
        """

    @abstractmethod
    def whole(self) -> bool:
        """Tell whether the manifest can be read, every file it names is there with its size, and no check found bytes or contents wrong.

        The files' content is not read. A backup of which only a restore differed is whole: see `damage`.
        """

    @abstractmethod
    def gone(self) -> bool:
        """Tell whether the copy was removed since it was listed."""

    @abstractmethod
    def check(self, progress: Progress) -> None:
        """Read every byte and compare it with what was promised. Raises IntegrityError."""

    @abstractmethod
    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a file's bytes, checked against `entry`. Raises IntegrityError."""

    @abstractmethod
    def read_gzip(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a compressed file's content, checked against `entry`. Raises IntegrityError."""

    @abstractmethod
    def as_file(self, entry: FileEntry) -> AbstractContextManager[ProgramFile]:
        """Yield a (small) file for a program to read. Raises IntegrityError."""

    @abstractmethod
    def at_hand(self, directory: Path, progress: Progress) -> "AbstractContextManager[Copy]":
        """Yield the copy as one that can be read again and again without asking anybody far away; `directory` holds what that takes.

        Nothing in it is readable without the key. What was fetched before an interruption is not fetched again.
        """

    @abstractmethod
    def _record(self, name: str) -> bytes | None:
        """Return the content of a record, None where there is none. Raises OSError."""

    @abstractmethod
    def _keep_record(self, name: str, content: bytes) -> None:
        """Write a record; it takes the place of an older one. Raises OSError."""

    @abstractmethod
    def _drop_record(self, name: str) -> None:
        """Remove a record, if there is one. Raises OSError."""

    @abstractmethod
    def _may_have_record(self, name: str) -> bool:
        """Tell whether there is a record; one that can't be looked for may be there."""

    def readable(self) -> bool:
        """Tell whether the manifest is there and whole."""
        try:
            self.manifest()
        except IntegrityError:
            return False
        return True

    def pinned(self) -> bool:
        """Tell whether there is a pin, genuine or not; one that can't be looked for may be there."""
        return self._may_have_record(PIN_FILE)

    def pin(self) -> Pin | None:
        """Return the pin, None when there is none. Raises IntegrityError for one that is damaged or not genuine; it counts all the same."""
        what = f"the pin of backup {self.backup_id} is damaged or not genuine"
        hint = "the backup is kept all the same; pin it again, or unpin it"
        try:
            content = self._record(PIN_FILE)
            if content is None:
                if self.pinned():
                    raise IntegrityError(what, "it is a link to nowhere", hint)
                return None
            pin = Pin.model_validate(self._sealing.open(PIN_LABEL, content))
        except OSError as error:
            raise IntegrityError(what, error.strerror or "", hint) from error
        except (ValidationError, IntegrityError) as error:
            raise IntegrityError(what, error.why if isinstance(error, IntegrityError) else "it cannot be understood", hint) from error
        if pin.backup_id != self.backup_id:
            raise IntegrityError(what, f"it speaks of {pin.backup_id}", hint)
        return pin

    def keep_pin(self, pin: Pin) -> None:
        """Write the pin; it takes the place of an older one. Raises OSError."""
        self._keep_record(PIN_FILE, self._sealing.close(PIN_LABEL, pin.model_dump(mode="json")))

    def forget_pin(self) -> None:
        """Remove the pin. Raises OSError."""
        self._drop_record(PIN_FILE)

    def proofs(self) -> dict[Level, Proof]:
        """Return the last proof of each level. One that is damaged, not genuine, or about another manifest does not count."""
        found = {}
        for level in LEVELS:
            try:
                content = self._record(proof_file(level))
                if content is None:
                    continue
                proof = Proof.model_validate(self._sealing.open(PROOF_LABEL, content))
                if (proof.backup_id, proof.level, proof.manifest_sha256) == (self.backup_id, level, self.manifest_sha256()):
                    found[level] = proof
            except (OSError, ValidationError, IntegrityError) as error:
                log.warning("a proof does not count", where=self.where, level=level, error=str(error).splitlines()[0])
        return found

    def verified(self) -> dict[Level, datetime]:
        """Return when the last check of each level succeeded; nothing where that is unknown."""
        return {level: proof.finished_at for level, proof in self.proofs().items()}

    def keep_proof(self, proof: Proof) -> None:
        """Write a proof beside the copy; it takes the place of an older one of its level, and of damage that it disproves.

        Raises OSError.
        """
        self._keep_record(proof_file(proof.level), self._sealing.close(PROOF_LABEL, proof.model_dump(mode="json")))
        damage = self.damage()
        if damage is not None and proof.level in at_least(damage.level):
            self._drop_record(DAMAGE_FILE)

    def damage(self) -> Damage | None:
        """Return what a check found wrong with the copy, None when nothing is known, or what is there is not genuine."""
        try:
            content = self._record(DAMAGE_FILE)
            if content is None:
                return None
            damage = Damage.model_validate(self._sealing.open(DAMAGE_LABEL, content))
            return damage if (damage.backup_id, damage.manifest_sha256) == (self.backup_id, self.manifest_sha256()) else None
        except (OSError, ValidationError, IntegrityError) as error:
            log.warning("a record of damage does not count", where=self.where, error=str(error).splitlines()[0])
            return None

    def keep_damage(self, level: Level, found: str, at: datetime, *, contents_right: bool | None = None) -> None:
        """Remember that a check found damage, and forget the proofs that it disproves: all, or those of `level` where contents are right.

        What a deeper check found before stays until a check as deep succeeds. Raises OSError, and IntegrityError when there is no manifest.
        """
        disproved = at_least(level) if contents_right else LEVELS
        known = self.damage()
        if known is not None and known.level in at_least(level):
            level = known.level
            contents_right = bool(contents_right) if level == "restore" else None
        damage = Damage(
            backup_id=self.backup_id,
            manifest_sha256=self.manifest_sha256(),
            level=level,
            found=found,
            found_at=at,
            contents_right=contents_right,
        )
        # Without what is not known, an older release understands it, too.
        self._keep_record(DAMAGE_FILE, self._sealing.close(DAMAGE_LABEL, damage.model_dump(mode="json", exclude_none=True)))
        for proven in disproved:
            self._drop_record(proof_file(proven))

    def known_wrong(self) -> bool:
        """Tell whether a check has found bytes or contents wrong."""
        damage = self.damage()
        return damage is not None and not damage.only_restore

    def _naming_itself(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the same blocks; what is wrong with a file is said with the backup that it belongs to."""
        try:
            yield from blocks
        except IntegrityError as error:
            if self.backup_id in str(error):
                raise
            raise type(error)(f"backup {self.backup_id}: {error.what}", error.why, error.hint) from error

    def _gone_error(self) -> BackupGoneError:
        return BackupGoneError(
            f"there is no backup {self.backup_id} any more", "it was just removed", "`pgkeeper list` shows what is there"
        )


Found = TypeVar("Found", bound=Copy)


def find_copy(copies: Sequence[Found], backup_id: str, where: str) -> Found:
    """Return the copy of one backup by its id. Raises UsageError (exit status 2) when there is none, or several clusters have it."""
    found = [copy for copy in copies if copy.backup_id == backup_id]
    if not found:
        raise UsageError(f"there is no backup {backup_id} in {where}", "", "`pgkeeper list` shows what is there")
    if len(found) > 1:
        raise UsageError(f"several clusters have a backup {backup_id}", ", ".join(copy.cluster for copy in found))
    return found[0]
