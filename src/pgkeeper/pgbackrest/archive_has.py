"""`pgbackrest repo-ls` of one segment, or of one history: whether a repository has it."""

import json
import re

from pgkeeper.pgbackrest.program import IMPATIENT, PgBackRest

_SECONDS = 120.0


def archive_has(program: PgBackRest, repository: int, archive_id: str, segment: str) -> bool:
    """Tell whether a segment, by its name, is in a repository. Raises PgBackRestFailed where that can't be reached."""
    # Segments lie in a directory for each 4 GiB of a timeline's log.
    place = f"archive/{program.stanza}/{archive_id}/{segment[:16]}"
    return _is_in(program, repository, place, f"^{segment}-")


def archive_has_history(program: PgBackRest, repository: int, archive_id: str, name: str) -> bool:
    """Tell whether a timeline's history, by its file name, is in a repository. Raises PgBackRestFailed where that can't be reached."""
    return _is_in(program, repository, f"archive/{program.stanza}/{archive_id}", f"^{re.escape(name)}$")


def _is_in(program: PgBackRest, repository: int, place: str, pattern: str) -> bool:
    text = program.output("repo-ls", IMPATIENT, f"--repo={repository}", "--output=json", f"--filter={pattern}", place, timeout=_SECONDS)
    return bool(json.loads(text or "{}"))
