"""Fetch one backup's dump from where its copy is, decrypted and checked, for whoever asked for it."""

import os
from pathlib import Path

from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import OperationFailed, UsageError
from pgkeeper.model.manifest import DATABASE_FILE
from pgkeeper.model.progress import Progress
from pgkeeper.operations.places import copies_in
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy


def download(backup_id: str, target: Path, settings: Settings, progress: Progress, source: StoreName = "cloud") -> int:
    """Write the compressed dump of a backup to the new file `target` (mode 0600) and return its size.

    It has its name only once it is whole. Raises UsageError when there is no such backup or `target` exists, IntegrityError, and
    OperationFailed when it can't be written.
    """
    backup: Copy = copies_in(settings, source).find(backup_id)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        if target.exists():
            raise UsageError(f"{target} exists", "a download never overwrites anything")
        with backup.being_read():
            entry = backup.manifest().file(DATABASE_FILE)
            progress.phase(f"download {backup_id}")
            done = 0
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for block in backup.read(entry):
                    done += file.write(block)
                    progress.advance(done, entry.size)
                file.flush()
                os.fsync(file.fileno())
        unfinished.rename(target)
    except OSError as error:
        raise OperationFailed(f"cannot write {target}", error.strerror or "", "choose a directory with space that is yours") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return entry.size
