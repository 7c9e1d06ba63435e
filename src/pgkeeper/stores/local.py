"""A directory as a store: `<store>/<host identity>/<cluster>/<database>/<backup id>/`.

A backup is built in a hidden sibling directory and published by one rename, so what is listed is whole. Deletion takes the name first, by
one rename into hiding, so what a crash leaves of it is never listed, and is found again to be removed.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from pydantic import ValidationError

from pgkeeper.host.bounded_file import read_bounded
from pgkeeper.host.durable import fsync_directory, replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.bounds import MANIFEST_BYTES, RECORD_BYTES
from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import BusyError, OperationFailed, RefusedError
from pgkeeper.model.manifest import MANIFEST_FILE, Manifest, dump_manifest
from pgkeeper.model.names import encode_segment, split_backup_id
from pgkeeper.model.seal import Seal
from pgkeeper.stores.copy import find_copy
from pgkeeper.stores.files import write_file
from pgkeeper.stores.local_copy import LocalCopy
from pgkeeper.stores.owner import OWNER_FILE, Owner

_BUILDING = ".building-"
_DELETING = ".deleting-"


class LocalStore:
    """All backups of one host below one directory."""

    name: StoreName = "local"

    def __init__(self, root: Path, host: str, seal: Seal) -> None:
        """`host` is the host's identity; hosts that share a directory never meet. `seal` is what its proofs are sealed with."""
        self.root = root
        self._seal = seal
        self.home = root / encode_segment(host)

    @property
    def where(self) -> str:
        """The directory of this host's backups, for people."""
        return str(self.home)

    def backups(self) -> tuple[LocalCopy, ...]:
        """Return all published backups, newest first. Raises OperationFailed when the directory cannot be read.

        One place below it that cannot be read costs only itself: a backup without rights is listed, and not readable.
        """
        found = []
        if self.root.exists() and not os.access(self.root, os.R_OK | os.X_OK):
            raise OperationFailed(f"cannot read {self.root}", "permission denied", "it must belong to postgres")
        try:
            # Somebody may have moved a large database's backups to another disk and left a link.
            for cluster in _visible(self.home, links=True):
                for database in _visible(cluster, links=True):
                    for place in _visible(database, links=False):
                        split = split_backup_id(place.name)
                        if split is not None and _may_have_manifest(place):
                            found.append(LocalCopy(place.name, unquote(cluster.name), split[0], split[1], place, self._seal))
        except OSError as error:
            raise OperationFailed(f"cannot read {error.filename}", error.strerror or "", "it must belong to postgres") from error
        return tuple(sorted(found, key=lambda backup: (backup.created_at, backup.backup_id), reverse=True))

    def find(self, backup_id: str) -> LocalCopy:
        """Return one backup by its id. Raises UsageError (exit status 2) when there is none, or several clusters have it."""
        return find_copy(self.backups(), backup_id, self.where)

    def claimed(self, machine: str, cluster: str, system_identifier: str) -> bool:
        """Tell whether `claim` would have nothing to write."""
        try:
            return Owner.model_validate_json(read_bounded(self.home / OWNER_FILE, RECORD_BYTES)).owns(machine, cluster, system_identifier)
        except (OSError, ValidationError):
            return False

    def claim(self, machine: str, cluster: str, system_identifier: str, *, adopt: bool) -> None:
        """Make sure this place is ours to write: the same machine, and per cluster label the same system identifier.

        The first claim writes the owner object; whoever calls holds the store lock. Raises RefusedError (exit status 6) when it names
        somebody else, unless `adopt`.
        """
        path = self.home / OWNER_FILE
        self._make(self.home)
        try:
            known = Owner.model_validate_json(read_bounded(path, RECORD_BYTES))
        except FileNotFoundError:
            known = Owner(machine=machine, clusters={})
        except ValidationError as error:
            raise RefusedError(f"{path} cannot be understood", "nothing is written before it is clear whose place this is") from error
        wanted = known.with_cluster(machine, cluster, system_identifier, adopt=adopt, where=str(self.home))
        if wanted != known or not path.exists():
            replace_file(path, wanted.model_dump_json(indent=1).encode() + b"\n")

    @contextmanager
    def building(self, cluster: str, database: str, backup_id: str) -> Iterator[Path]:
        """Yield a new hidden directory to build a backup in; it is removed at the end unless it was published.

        Whoever calls holds the database's dump lock, so what an earlier run left there belongs to nobody and is removed first.
        """
        parent = self.home / encode_segment(cluster) / encode_segment(database)
        self._make(parent)
        _sweep(parent, _BUILDING, _DELETING)
        place = parent / f"{_BUILDING}{backup_id}"
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def publish(self, place: Path, manifest: Manifest) -> LocalCopy:
        """Write the manifest, make everything durable and give the backup its name.

        Raises OSError, and OperationFailed for a manifest that would be too large to be read again; then nothing was published.
        """
        content = dump_manifest(manifest)
        if len(content) > MANIFEST_BYTES:
            raise OperationFailed(
                f"the backup of {manifest.database.name} cannot be described",
                f"its manifest has {len(content)} bytes, at most {MANIFEST_BYTES} are read",
                "back up fewer tables at once: split the database",
            )
        write_file(place / MANIFEST_FILE, [content])
        fsync_directory(place)
        final = place.parent / manifest.backup_id
        place.rename(final)
        fsync_directory(final.parent)
        return LocalCopy(manifest.backup_id, manifest.cluster.label, manifest.database.name, manifest.started_at, final, self._seal)

    def delete(self, backup: LocalCopy) -> None:
        """Remove a backup: its name first, then its files. Whoever calls holds the store lock.

        Raises BusyError (exit status 5) while it is being read; then nothing was removed. Raises OSError.
        """
        descriptor = os.open(backup.path / MANIFEST_FILE, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._remove(backup)
        except BlockingIOError:
            raise BusyError(f"backup {backup.backup_id} is being read", "a check or a restore uses it", "wait for it") from None
        finally:
            os.close(descriptor)

    def sweep(self) -> None:
        """Remove what deletions that were killed have left in hiding. Whoever calls holds the store lock."""
        for cluster in _visible(self.home, links=True):
            for database in _visible(cluster, links=True):
                _sweep(database, _DELETING)

    def _remove(self, backup: LocalCopy) -> None:
        _sweep(backup.path.parent, _DELETING)
        doomed = backup.path.with_name(f"{_DELETING}{backup.backup_id}")
        backup.path.rename(doomed)
        fsync_directory(doomed.parent)
        # A backup of the same database may be sweeping the same leftover.
        with suppress(FileNotFoundError):
            shutil.rmtree(doomed)
        fsync_directory(doomed.parent)

    def _make(self, path: Path) -> None:
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            hint = "free some space" if error.errno == errno.ENOSPC else f"{self.root} must exist, belong to postgres and be writable"
            raise OperationFailed(f"cannot create {path}", error.strerror or "", hint) from error


def _may_have_manifest(place: Path) -> bool:
    try:
        return (place / MANIFEST_FILE).exists()
    except PermissionError:
        return True


def _visible(path: Path, *, links: bool) -> list[Path]:
    """Return the directories directly below `path` that are not hidden; none when it does not exist or can't be read."""
    try:
        with os.scandir(path) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=links) and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except PermissionError as error:
        log.error("a directory of the store cannot be read", path=str(path), error=error.strerror)
        return []


def _sweep(parent: Path, *prefixes: str) -> None:
    for leftover in parent.iterdir():
        if leftover.name.startswith(prefixes):
            shutil.rmtree(leftover, ignore_errors=True)
