"""`pgbackrest expire`: what is past the configured retention goes: backups, and the log that none of those left needs."""

import re

from pgkeeper.pgbackrest.program import PgBackRest

_BACKUP = re.compile(r"remove expired backup (\S+)")
_LOG = re.compile(r"remove archive, start = ([0-9A-F]{24}), stop = ([0-9A-F]{24})")


def expire(program: PgBackRest, repository: int, *, dry_run: bool) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Remove what has had its time, or with `dry_run` only say what would go. Returns labels of backups, and first and last segments.

    Raises PgBackRestFailed.
    """
    backups: list[str] = []
    ranges: list[tuple[str, str]] = []

    def watch(said: str) -> None:
        if found := _BACKUP.search(said):
            backups.append(found[1])
        elif found := _LOG.search(said):
            ranges.append((found[1], found[2]))

    program.told("expire", f"--repo={repository}", *(["--dry-run"] if dry_run else []), line=watch, console="detail")
    return tuple(dict.fromkeys(backups)), tuple(dict.fromkeys(ranges))
