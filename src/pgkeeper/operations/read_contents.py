"""Read a backup as the level `contents` does: every file to its end, and everything in the dump compared with the manifest."""

from pgkeeper.model.bounds import bounded, most_decompressed
from pgkeeper.model.comparison import differences
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import CONFIG_FILE, DATABASE_FILE, FileEntry, Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.postgres.server_config import saved_setting
from pgkeeper.postgres.understanding import DumpUnderstanding
from pgkeeper.stores.copy import Copy


def content_problems(backup: Copy, manifest: Manifest, progress: Progress) -> tuple[str, ...]:
    """Return what differs from the manifest, a line each. Raises IntegrityError for a file that is not as it was written."""
    understanding = DumpUnderstanding()
    for entry in manifest.files:
        if entry.name == DATABASE_FILE:
            for chunk in backup.read_gzip(entry):
                understanding.feed(chunk)
                if understanding.sql_bytes > manifest.contents.sql_bytes:
                    why = f"it decompresses to more than the {manifest.contents.sql_bytes} bytes that were dumped"
                    raise IntegrityError(f"backup {backup.backup_id}: {entry.name} is damaged", why)
                progress.advance(understanding.sql_bytes, manifest.contents.sql_bytes)
        else:
            read_to_end(backup, entry)
    return differences(manifest.contents, understanding.finish())


def require_other_files(backup: Copy, manifest: Manifest) -> None:
    """Read every file but the dump to its end. Raises IntegrityError for one that is not as it was written, or holds far too much."""
    for entry in manifest.files:
        if entry.name != DATABASE_FILE:
            read_to_end(backup, entry)


def read_to_end(backup: Copy, entry: FileEntry) -> None:
    """Read a file other than the dump to its end. Raises IntegrityError for one that is not as it was written, or holds far too much."""
    name = f"backup {backup.backup_id}: {entry.name}"
    if entry.name == CONFIG_FILE:
        try:
            saved_setting(backup.read_gzip(entry), "")
        except IntegrityError as error:
            if backup.backup_id in str(error):
                raise
            raise IntegrityError(f"{name} is damaged", error.why, error.hint) from error
        return
    for _ in bounded(backup.read_gzip(entry), most_decompressed(entry.size), name) if entry.name.endswith(".gz") else backup.read(entry):
        pass


def require_contents(backup: Copy, manifest: Manifest, progress: Progress) -> None:
    """Raise IntegrityError naming what differs from the manifest."""
    if problems := content_problems(backup, manifest, progress):
        raise IntegrityError(f"backup {backup.backup_id} is not what its manifest says", "; ".join(problems), "use another backup")
