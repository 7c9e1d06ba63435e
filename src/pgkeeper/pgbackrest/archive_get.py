"""`pgbackrest archive-get`: one segment out of a repository."""

import hashlib
from pathlib import Path

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.repository import name_of
from pgkeeper.pgbackrest.archive_list import ArchivedFile
from pgkeeper.pgbackrest.program import PgBackRest, PgBackRestFailed

_SECONDS = 300.0


def archive_get(program: PgBackRest, repository: int, segment: ArchivedFile, target: Path, data: Path | None = None) -> None:
    """Write a segment to the file `target`. `data` stands in for a data directory that is lost: pgBackRest looks whose log it fetches.

    Raises PgBackRestFailed when it can't be had, IntegrityError when its content is not what its name in the repository says.
    """
    # Asynchronously it would fetch what follows as well, into the spool directory that production's server restores from.
    where = () if data is None else (f"--pg1-path={data}",)
    options = (f"--repo={repository}", "--no-archive-async", *where, segment.name, str(target))
    try:
        program.output("archive-get", *options, timeout=_SECONDS)
    except PgBackRestFailed as error:
        if error.code == 0:
            # pgBackRest has no words for a segment that it does not find.
            raise PgBackRestFailed(f"segment {segment.name} is not in repository {name_of(repository)} any more", error.why) from error
        raise
    with target.open("rb") as file:
        # PostgreSQL and pgBackRest chose it, against accidents.
        found = hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
    if found != segment.digest:
        hint = "moments behind it cannot be brought back from there; make a full backup with `pgkeeper pitr backup --kind full`"
        raise IntegrityError(
            f"segment {segment.name} in repository {name_of(repository)} is damaged", "its content is not what its name says", hint
        )
