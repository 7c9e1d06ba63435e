"""`pgbackrest verify`: every file of a repository read, and held against the digest it was written with."""

import re
from collections.abc import Callable

from pgkeeper.pgbackrest.program import PgBackRest, PgBackRestFailed

_DAMAGE = re.compile(r"(?:\S+ \S+ +P\d+ +)?\w+: ((?:invalid|file missing|size|checksum|unable to|backup '|archive '|duplicate).*'.*)")
_STATUS = re.compile(r"\s*status: (ok|error)")


def verify(program: PgBackRest, repository: int, line: Callable[[str], None]) -> tuple[str, ...]:
    """Read everything in a repository and return what is damaged or missing of what should be there.

    Each line that pgBackRest logs is passed on to `line`. It ends well when it found damage (2.45), and in later versions may not. Raises
    PgBackRestFailed when it could not look.
    """
    damages: list[str] = []
    statuses: list[str] = []

    def watch(said: str) -> None:
        line(said)
        if found := _DAMAGE.fullmatch(said):
            damages.append(found[1])
        elif found := _STATUS.fullmatch(said):
            statuses.append(found[1])

    try:
        program.told("verify", f"--repo={repository}", "--output=text", line=watch, console="info")
    except PgBackRestFailed:
        if "error" not in statuses and not damages:
            raise
    if "error" in statuses and not damages:
        return ("pgbackrest verify found errors: its log holds them",)
    return tuple(dict.fromkeys(damages))
