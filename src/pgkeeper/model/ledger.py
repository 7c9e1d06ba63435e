"""The ledger: what a host knows it has in one store off site. The store is held against it, so that what is missing there is noticed.

A pure record; whether a copy is where the ledger says is decided from one listing of the store.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pgkeeper.model.copy import ENCRYPTED, HEADER_FILE, CopyHeader
from pgkeeper.model.proof import Level

LABEL = "ledger"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CopyRecord(_Part):
    """One copy as it was sent. `objects` maps the names of its objects to their sizes; `seconds` is what sending took.

    `tables`, `rows` and `database_bytes` are what its manifest says, None where that can't be decrypted here. `verified` says when the last
    check of each level succeeded there.
    """

    backup_id: str
    cluster: str
    database: str
    created_at: AwareDatetime
    copied_at: AwareDatetime
    seconds: float | None
    storage_class: str
    objects: dict[str, int]
    manifest_sha256: str
    tables: int | None = None
    rows: int | None = None
    database_bytes: int | None = None
    verified: dict[Level, AwareDatetime] = Field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Return what the copy takes."""
        return sum(self.objects.values())


class Ledger(_Part):
    """All copies in one store, by backup id and cluster.

    `unwanted` are backups whose copy was removed on purpose: they are not sent again. `failing_since` is when sending began to fail, with
    the last `problem`; `told_at` is when the owner last heard of it, `told_losses` what he heard of copies that are lost. `succeeded_at`
    is when everything was last there. `most_parts` is how many parts of an object the provider takes, None where nothing else than usual
    is known of that. `foreign` are backups whose copies this host did not send, and found in its place when it last looked,
    at `looked_at`.
    """

    copies: tuple[CopyRecord, ...] = ()
    unwanted: tuple[str, ...] = ()
    failing_since: AwareDatetime | None = None
    problem: str = ""
    told_at: AwareDatetime | None = None
    told_losses: tuple[str, ...] = ()
    succeeded_at: AwareDatetime | None = None
    most_parts: int | None = None
    foreign: tuple[str, ...] = ()
    looked_at: AwareDatetime | None = None

    def seen_at(self, copy: CopyRecord) -> datetime:
        """Return when a copy was last seen to be there: when it was sent, or when the store was looked at since."""
        return max(copy.copied_at, self.looked_at or copy.copied_at)

    @property
    def knows_nothing(self) -> bool:
        """Tell whether the ledger is new, or was recreated after its loss: then copies in the store that it does not list are expected."""
        return not self.copies and self.succeeded_at is None and not self.foreign

    def find(self, cluster: str, backup_id: str) -> CopyRecord | None:
        """Return what is known of one copy."""
        return next((copy for copy in self.copies if (copy.cluster, copy.backup_id) == (cluster, backup_id)), None)

    def with_copy(self, copy: CopyRecord) -> "Ledger":
        """Return the ledger with `copy` in the place of what was known of it."""
        return self.with_copies([copy])

    def with_copies(self, copies: Sequence[CopyRecord]) -> "Ledger":
        """Return the ledger with `copies`, no two of one backup, in the place of what was known of them."""
        return self.model_copy(update={"copies": (*self.without(copies).copies, *copies)})

    def without(self, copies: Iterable[CopyRecord]) -> "Ledger":
        """Return the ledger without those copies."""
        gone = {(copy.cluster, copy.backup_id) for copy in copies}
        return self.model_copy(update={"copies": tuple(copy for copy in self.copies if (copy.cluster, copy.backup_id) not in gone)})

    def predecessor(self, cluster: str, database: str, before: datetime) -> str | None:
        """Return the id of the newest copy of that database that is older than `before`."""
        older = [copy for copy in self.copies if (copy.cluster, copy.database) == (cluster, database) and copy.created_at < before]
        return max(older, key=lambda copy: (copy.created_at, copy.backup_id)).backup_id if older else None


def as_sent(record: CopyRecord, listed: Mapping[str, tuple[int, datetime]]) -> bool:
    """Tell from `listed`, size and time of objects by name, whether a copy lies there as it was sent: all of it, not written since.

    Then its header needs no reading to know that it is whole. Where the store's clock is ahead of ours that is not seen.
    """
    found = [(size, listed.get(name)) for name, size in record.objects.items()]
    return all(there is not None and there[0] == size and there[1] <= record.copied_at for size, there in found)


@dataclass(frozen=True)
class Loss:
    """A copy that is not as it was sent, and what is wrong with it."""

    copy: CopyRecord
    what: str


@dataclass(frozen=True)
class Reckoning:
    """What holding a store against the ledger came to.

    `losses` is what nobody was to take; `expired` what the store's own rules have removed in time; `unknown` are copies the ledger does not
    know, as cluster and backup id.
    """

    losses: tuple[Loss, ...]
    expired: tuple[CopyRecord, ...]
    unknown: tuple[tuple[str, str], ...]


def hold_against(
    ledger: Ledger, listed: Mapping[tuple[str, str], Mapping[str, int]], now: datetime, kept_days: int, *, store_expires: bool
) -> Reckoning:
    """Return how `listed`, the sizes of objects by cluster and backup id and by name, differs from the ledger.

    Only where the store removes old copies itself (`store_expires`), one that is older than `kept_days` may be missing.
    """
    losses, expired = [], []
    for copy in ledger.copies:
        found = listed.get((copy.cluster, copy.backup_id))
        if found is None:
            over = store_expires and now - copy.created_at > timedelta(days=kept_days)
            if over:
                expired.append(copy)
            else:
                losses.append(Loss(copy, "it was removed there, or the bucket was set back to an earlier time"))
            continue
        if what := not_as_sent(copy, found):
            losses.append(Loss(copy, what))
    known = {(copy.cluster, copy.backup_id) for copy in ledger.copies}
    return Reckoning(tuple(losses), tuple(expired), tuple(place for place in listed if place not in known))


def not_as_sent(record: CopyRecord, found: Mapping[str, int]) -> str:
    """Return what is wrong with a copy of which `found`, sizes of objects by name, are there; "" when nothing is."""
    for name, size in record.objects.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != size:
            return f"{name} has {found[name]} bytes, {size} were sent"
    return ""


def objects_of(header: CopyHeader, header_bytes: int) -> dict[str, int]:
    """Return names and sizes of the objects that make a copy, the header's own among them."""
    return {HEADER_FILE: header_bytes, **{file.name + ENCRYPTED: file.size for file in header.files}}
