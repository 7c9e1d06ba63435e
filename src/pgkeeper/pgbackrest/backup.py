"""`pgbackrest backup`: a physical backup into one repository. What has had its time there expires in the same call."""

import re

from pgkeeper.model.physical_backup import BackupKind
from pgkeeper.model.progress import Progress
from pgkeeper.pgbackrest.program import PgBackRest, PgBackRestFailed

_PERCENT = re.compile(r"\(.*?([0-9.]+)%\)")
_LABEL = re.compile(r"new backup label = (\S+)")
_LOCKED = 50
"""pgBackRest's number for a lock that another process holds."""


def backup(program: PgBackRest, repository: int, kind: BackupKind, cluster_bytes: int, progress: Progress) -> tuple[str, tuple[str, ...]]:
    """Make a backup and return its label, and warnings.

    pgBackRest waits until the log that the backup needs is archived. Progress counts `cluster_bytes` (about what is read). Raises
    PgBackRestFailed; `held` tells whether somebody else's backup was the reason.
    """
    label = ""

    def watch(line: str) -> None:
        nonlocal label
        if found := _PERCENT.search(line):
            progress.advance(round(float(found[1]) / 100 * cluster_bytes), cluster_bytes)
        elif "wait for all WAL segments to archive" in line:
            progress.note("waiting for its log to be archived")
        elif found := _LABEL.search(line):
            label = found[1]

    warnings = program.told("backup", f"--type={kind}", f"--repo={repository}", line=watch)
    if not label:
        raise PgBackRestFailed("pgbackrest backup failed", "it named no backup")
    return label, warnings


def held(error: PgBackRestFailed) -> bool:
    """Tell whether a command failed because another one holds the stanza's lock.

    A lock file that may not be opened has the same number.
    """
    return error.code == _LOCKED and "Permission denied" not in error.why
