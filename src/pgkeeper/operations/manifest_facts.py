"""What a list of backups needs of their manifests: from the catalog where it knows, from the files where it does not."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pgkeeper.model.errors import IntegrityError, PgkeeperError
from pgkeeper.model.manifest import MANIFEST_FILE
from pgkeeper.operations.places import catalog
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy

if TYPE_CHECKING:
    from pgkeeper.catalog.index import Entry


class ManifestFacts(Message):
    """What the catalog keeps of a manifest. Every field is required: what an older release has kept is then read again."""

    seconds: float
    size_bytes: int
    database_bytes: int
    tables: int
    rows: int
    made_by: str
    server_version: str
    warnings: tuple[str, ...]


Facts = dict[str, ManifestFacts | PgkeeperError]
"""By the path of the manifest; an error where it can't be read."""


def manifest_path(backup: Copy) -> str:
    """Return where a backup's manifest is."""
    return f"{backup.where}/{MANIFEST_FILE}"


def read_facts(backup: Copy) -> ManifestFacts:
    """Read a manifest. Raises IntegrityError when it is damaged, BackupGoneError when it is gone."""
    manifest = backup.manifest()
    return ManifestFacts(
        seconds=(manifest.finished_at - manifest.started_at).total_seconds(),
        size_bytes=manifest.size_bytes,
        database_bytes=manifest.database.size_bytes,
        tables=len(manifest.contents.tables),
        rows=manifest.contents.rows,
        made_by=manifest.made_by,
        server_version=manifest.cluster.server_version,
        warnings=manifest.warnings,
    )


def known_facts(settings: Settings, backups: Iterable[Copy], *, everything: bool) -> Facts:
    """Return the facts of backups, reading only manifests that the catalog does not know as they are; it then knows them.

    `everything` says that there are no other backups on this host: what the catalog knows of others here is forgotten.
    """
    from pgkeeper.catalog.index import change_index, read_index

    known = catalog(settings)
    index: dict[str, Entry] = known.tried(lambda connection: read_index(connection, known.host), {})
    facts, new = _gather(backups, index)
    # Whether a copy off site is gone, the directories of this host can't say.
    gone = [path for path in index if path not in facts and path.startswith("/")] if everything else []
    if new or gone:
        known.tried(lambda connection: change_index(connection, known.host, new, gone), None, writing=True)
    return facts


def fresh_facts(backups: Iterable[Copy]) -> "tuple[Facts, dict[str, Entry]]":
    """Return the facts of backups from the files alone, and the entries for the catalog's index."""
    return _gather(backups, {})


def _gather(backups: Iterable[Copy], index: "Mapping[str, Entry]") -> "tuple[Facts, dict[str, Entry]]":
    from pgkeeper.catalog.index import Entry, Version

    facts: Facts = {}
    new: dict[str, Entry] = {}
    for backup in backups:
        path = manifest_path(backup)
        try:
            # Before it is read: a manifest that changes meanwhile is then read again the next time.
            version = Version(*backup.version)
            entry = index.get(path)
            if entry is not None and entry.version == version and (said := _understood(entry)) is not None:
                facts[path] = said
                continue
            facts[path] = read = read_facts(backup)
            new[path] = Entry(version, read.model_dump(mode="json"))
        except OSError as error:
            facts[path] = IntegrityError(f"the manifest of backup {backup.backup_id} cannot be read", error.strerror or "")
        except PgkeeperError as error:
            facts[path] = error
    return facts, new


def _understood(entry: "Entry") -> ManifestFacts | None:
    try:
        return ManifestFacts.model_validate(entry.summary)
    except ValidationError:
        return None
