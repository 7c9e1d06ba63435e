"""Read a backup's files and compare them with its manifest: what every check and every restore begins with."""

from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.stores.stored_backup import StoredBackup


def check_files(backup: StoredBackup, manifest: Manifest, progress: Progress) -> None:
    """Read every file of a backup and compare size and SHA-256 with its manifest. Raises IntegrityError."""
    done = 0
    for entry in manifest.files:
        for block in backup.read(entry):
            done += len(block)
            progress.advance(done, manifest.size_bytes)
