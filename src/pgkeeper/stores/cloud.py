"""A bucket as a store: `<prefix>/<host identity>/<cluster>/<database>/<backup id>/`, every file of a copy encrypted.

A copy's header, `manifest.json`, is uploaded last and removed first, so what is listed with one is whole. Objects that are none of ours are
neither read nor removed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from pgkeeper.crypto.envelope import KeyRing
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.bounds import RECORD_BYTES, bounded
from pgkeeper.model.copy import ENCRYPTED, HEADER_FILE
from pgkeeper.model.errors import BusyError, IntegrityError, RefusedError
from pgkeeper.model.names import decode_segment, encode_segment, split_backup_id
from pgkeeper.off_site_settings import OffSite
from pgkeeper.stores.bucket import Bucket, ObjectGoneError, ObjectInfo
from pgkeeper.stores.cloud_copy import CloudCopy, KeyRingSealing
from pgkeeper.stores.copy import RECORDS, find_copy
from pgkeeper.stores.owner import OWNER_FILE, Owner

_OWNER_LABEL = "owner"
Place = tuple[str, str, str, datetime]
"""What a copy's folder says: backup id, cluster, database, and when the backup was begun."""


@dataclass(frozen=True)
class Listing:
    """What lies in a host's place: copies, newest first, and objects of ours without a header, by their key."""

    copies: tuple[CloudCopy, ...]
    strays: tuple[ObjectInfo, ...]


class CloudStore:
    """All copies of one host in one bucket. `may_delete` is False where only the bucket itself removes what is old.

    `own` is False for another host's place: nothing is written there. `home` is the host's folder.
    """

    def __init__(self, name: OffSite, bucket: Bucket, host: str, keys: KeyRing, state_dir: Path, *, may_delete: bool, own: bool) -> None:
        self.name = name
        self.bucket = bucket
        self.host = host
        self.keys = keys
        self.may_delete = may_delete
        self.own = own
        self._state_dir = state_dir
        self.home = encode_segment(host)
        self._owner_key = f"{self.home}/{OWNER_FILE}"
        self._sealing = KeyRingSealing(keys)

    @property
    def where(self) -> str:
        """Bucket and folder of this host, for people."""
        return f"{self.bucket.name}/{self.home}"

    def backups(self) -> tuple[CloudCopy, ...]:
        """Return all copies, newest first. One listing of the bucket, whatever their number."""
        return self.listing().copies

    def find(self, backup_id: str) -> CloudCopy:
        """Return one copy by its id."""
        return find_copy(self.backups(), backup_id, self.where)

    def listing(self) -> Listing:
        """Return what lies in this host's place."""
        folders: dict[str, tuple[Place, dict[str, ObjectInfo]]] = {}
        before, place = "", None
        for found in self.bucket.list(f"{self.home}/"):
            folder, _, name = found.key.rpartition("/")
            # What lies in one folder is mostly listed together.
            if folder != before:
                before, place = folder, _understood(folder)
            if place is not None and (name == HEADER_FILE or name in RECORDS or name.endswith(ENCRYPTED)):
                folders.setdefault(folder, (place, {}))[1][name] = found
        copies = [self._copy(folder, place, objects) for folder, (place, objects) in folders.items() if HEADER_FILE in objects]
        strays = [found for _, objects in folders.values() if HEADER_FILE not in objects for found in objects.values()]
        copies.sort(key=lambda copy: (copy.created_at, copy.backup_id), reverse=True)
        return Listing(tuple(copies), tuple(strays))

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts that have a place in this bucket, by their owner objects."""
        found = []
        for each in self.bucket.list():
            home, _, name = each.key.partition("/")
            if name == OWNER_FILE:
                found.append(decode_segment(home))
        return tuple(found)

    def folder(self, cluster: str, database: str, backup_id: str) -> str:
        """Return where a copy lies, or will lie."""
        return f"{self.home}/{encode_segment(cluster)}/{encode_segment(database)}/{backup_id}"

    def copy(self, cluster: str, database: str, backup_id: str, names: Iterable[str]) -> CloudCopy:
        """Return one copy as far as objects of these names are there now; each is asked for, since a listing may come late.

        Raises ObjectGoneError when there is none.
        """
        folder = self.folder(cluster, database, backup_id)
        place = _understood(folder)
        asked = ((name, self.bucket.head(f"{folder}/{name}")) for name in names)
        objects = {name: found for name, found in asked if found is not None}
        if place is None or HEADER_FILE not in objects:
            raise ObjectGoneError(f"there is no copy of backup {backup_id} in {self.where}")
        return self._copy(folder, place, objects)

    def claim(self, machine: str, clusters: Iterable[tuple[str, str]], *, adopt: bool) -> None:
        """Make sure this place is ours to write: the same machine, and per cluster label (with its system identifier) the same cluster.

        The first claim writes the owner object. Raises RefusedError (exit status 6) when it names somebody else, unless `adopt`.
        """
        try:
            known = written = self._owner()
        except RefusedError:
            if not adopt:
                raise
            known = written = None
        known = known or Owner(machine=machine, clusters={})
        for cluster, system_identifier in clusters:
            known = known.with_cluster(machine, cluster, system_identifier, adopt=adopt, where=self.where)
        if known != written:
            self.bucket.put(self._owner_key, self._sealing.close(_OWNER_LABEL, known.model_dump(mode="json")))

    def require_ours(self, machine: str) -> None:
        """Raise RefusedError (exit status 6) when this place is another machine's: a clone must not remove what the original keeps."""
        owner = self._owner()
        if owner is not None:
            owner.require(machine, self.where)

    def _owner(self) -> Owner | None:
        """Return whose place this is, None when it is nobody's yet. Raises RefusedError when that can't be believed."""
        try:
            return Owner.model_validate(
                self._sealing.open(_OWNER_LABEL, b"".join(bounded(self.bucket.read(self._owner_key), RECORD_BYTES, OWNER_FILE)))
            )
        except ObjectGoneError:
            return None
        except (ValidationError, IntegrityError) as error:
            why = error.why if isinstance(error, IntegrityError) else "it has another form"
            hint = "if this place is yours, run `pgkeeper sync --adopt` once"
            raise RefusedError(f"{self.bucket.name}/{self._owner_key} cannot be believed", why, hint) from error

    def delete(self, backup: CloudCopy) -> None:
        """Remove a copy: its header first, then its files. Whoever calls holds the store lock.

        Raises BusyError (exit status 5) while this host reads it, RefusedError (exit status 6) where nothing may be removed.
        """
        if not (self.may_delete and self.own):
            raise RefusedError(
                f"nothing is removed from {self.where} by pgkeeper", "the bucket's own rules do that", "see BACKUP_CLOUD_EXPIRY"
            )
        try:
            with exclusive(self._state_dir, backup.lease, f"reading of {backup.backup_id}", once=True):
                # Only a header makes a copy; what is left without one is swept by the next `sync`.
                for name in sorted(backup.objects, key=lambda name: name != HEADER_FILE):
                    self.bucket.delete(f"{backup.folder}/{name}")
        except BusyError:
            raise BusyError(f"backup {backup.backup_id} is being read", "a check or a restore uses it", "wait for it") from None

    def sweep(self, strays: Iterable[ObjectInfo], spared: frozenset[str]) -> None:
        """Remove what interrupted uploads and deletions left: objects of ours without a header, and parts that were never put together.

        Nothing in the folders `spared` is touched. Whoever calls is the only one who uploads to this place.
        """
        for upload in self.bucket.unfinished_uploads(f"{self.home}/"):
            folder = upload.key.rpartition("/")[0]
            if folder not in spared and _understood(folder) is not None:
                log.info("an unfinished upload is given up", key=upload.key, started_at=upload.started_at.isoformat())
                self.bucket.abort_upload(upload.key, upload.upload_id)
        if not self.may_delete:
            return
        for stray in strays:
            if stray.key.rpartition("/")[0] not in spared:
                log.info("what a copy was never finished of is removed", key=stray.key)
                self.bucket.delete(stray.key)

    def _copy(self, folder: str, place: Place, objects: dict[str, ObjectInfo]) -> CloudCopy:
        where = (self.bucket, folder, self.host)
        return CloudCopy(place, where, objects, self.keys, self._state_dir, writable=self.own, may_delete=self.may_delete)


def _understood(folder: str) -> Place | None:
    """Return what a folder's path says, None when it is none of ours."""
    segments = folder.split("/")
    if len(segments) != 4:
        return None
    try:
        host, cluster, database = (decode_segment(segment) for segment in segments[:3])
    except UnicodeDecodeError:
        return None
    split = split_backup_id(segments[3])
    if split is None or split[0] != database or [encode_segment(name) for name in (host, cluster, database)] != segments[:3]:
        return None
    return segments[3], cluster, database, split[1]
