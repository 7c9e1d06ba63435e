"""What a proof that failed says about the backup: that it is damaged, that only the restore differed, or nothing.

A proof restores into a server of ours, in a sandbox of ours, on a disk of ours. Any of these may be what fails. So the backup is read again
as by the level `contents`, and that decides.
"""

from typing import NamedTuple

from pgkeeper.model.damage import KEEP_IT
from pgkeeper.model.errors import (
    BusyError,
    ConfigurationError,
    ErrorInfo,
    IntegrityError,
    PgkeeperError,
    RefusedError,
    is_damage,
)
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.model.proof import Level
from pgkeeper.operations.read_contents import require_contents
from pgkeeper.stores.copy import Copy

_RIGHT = "its checksums and contents are right"


class RestoreDiffersError(IntegrityError):
    """What was restored differed, though every byte and all contents of the backup are right."""


class ContentsDifferError(IntegrityError):
    """The proof failed, and the backup's bytes or contents are wrong."""


class Found(NamedTuple):
    """What is to be remembered of damage: which level found it, and whether bytes and contents are known to be right."""

    level: Level
    contents_right: bool | None


def examined(error: Exception, backup: Copy, manifest: Manifest, progress: Progress) -> Exception:
    """Return what a failed proof says, after the contents were read.

    Returns RestoreDiffersError or ContentsDifferError for a backup that is not what it should be, and `error` with a remark where nothing
    is known to be wrong with it. Errors of settings, of the sandbox and of other work at the same time need no look at the backup.
    """
    if isinstance(error, RefusedError | ConfigurationError | BusyError) or (isinstance(error, IntegrityError) and not is_damage(error)):
        return error
    progress.phase(f"read {backup.backup_id} again")
    try:
        require_contents(backup, manifest, progress)
    except (PgkeeperError, OSError) as damage:
        if isinstance(damage, IntegrityError) and is_damage(damage):
            return ContentsDifferError(damage.what, damage.why, damage.hint)
        return error
    if isinstance(error, IntegrityError):
        return RestoreDiffersError(error.what, error.why, KEEP_IT)
    return error.hinting(_RIGHT) if isinstance(error, PgkeeperError) else error


def found_by(error: Exception, level: Level) -> Found:
    """Return what to remember of damage that a check of `level` raised as `error`."""
    if isinstance(error, RestoreDiffersError):
        return Found("restore", contents_right=True)
    return Found("contents" if isinstance(error, ContentsDifferError) else level, contents_right=None)


def not_decided(info: ErrorInfo, backup_id: str, level: Level) -> ErrorInfo:
    """Return an error that says nothing about the backup as one that says so."""
    done = "proven" if level == "restore" else "checked"
    why = f"{info.what}: {info.why}" if info.why else info.what
    return info.model_copy(update={"what": f"backup {backup_id} could not be {done}", "why": why})
