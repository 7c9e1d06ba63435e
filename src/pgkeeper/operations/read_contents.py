"""Read a backup as the level `contents` does: every file to its end, and everything in the dump compared with the manifest."""

from pgkeeper.model.comparison import differences
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import DATABASE_FILE, Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.postgres.understanding import DumpUnderstanding
from pgkeeper.stores.copy import Copy


def content_problems(backup: Copy, manifest: Manifest, progress: Progress) -> tuple[str, ...]:
    """Return what differs from the manifest, a line each. Raises IntegrityError for a file that is not as it was written."""
    understanding = DumpUnderstanding()
    for entry in manifest.files:
        if entry.name == DATABASE_FILE:
            for chunk in backup.read_gzip(entry):
                understanding.feed(chunk)
                progress.advance(understanding.sql_bytes, manifest.contents.sql_bytes)
        else:
            for _ in backup.read_gzip(entry) if entry.name.endswith(".gz") else backup.read(entry):
                pass
    return differences(manifest.contents, understanding.finish())


def require_contents(backup: Copy, manifest: Manifest, progress: Progress) -> None:
    """Raise IntegrityError naming what differs from the manifest."""
    if problems := content_problems(backup, manifest, progress):
        raise IntegrityError(f"backup {backup.backup_id} is not what its manifest says", "; ".join(problems), "use another backup")
