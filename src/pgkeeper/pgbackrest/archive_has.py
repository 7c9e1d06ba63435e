"""`pgbackrest repo-ls` of one segment: whether a repository has it."""

import json

from pgkeeper.pgbackrest.program import IMPATIENT, PgBackRest

_SECONDS = 120.0


def archive_has(program: PgBackRest, repository: int, archive_id: str, segment: str) -> bool:
    """Tell whether a segment, by its name, is in a repository. Raises PgBackRestFailed where that can't be reached."""
    # Segments lie in a directory for each 4 GiB of a timeline's log.
    place = f"archive/{program.stanza}/{archive_id}/{segment[:16]}"
    text = program.output("repo-ls", IMPATIENT, f"--repo={repository}", "--output=json", f"--filter=^{segment}-", place, timeout=_SECONDS)
    return bool(json.loads(text or "{}"))
