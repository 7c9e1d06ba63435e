"""`pgbackrest repo-ls` and `repo-get`: which segments and histories a repository holds."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pgkeeper.model.errors import OperationFailed
from pgkeeper.pgbackrest.program import IMPATIENT, PgBackRest, PgBackRestFailed

_SECONDS = 600.0
# A segment's file is named after its content as well. One that ended before it was full (`.partial`) is none.
_SEGMENT = re.compile(r"([0-9A-F]{24})-([0-9a-f]{40})(?:\.[a-z0-9]+)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


@dataclass(frozen=True)
class ArchivedFile:
    """A segment in a repository. `digest` is the SHA-1 of its content, `size_bytes` what it takes there."""

    name: str
    digest: str
    size_bytes: int
    archived_at: datetime

    @property
    def key(self) -> str:
        """What names its content in every repository."""
        return f"{self.name}-{self.digest}"


@dataclass(frozen=True)
class ArchiveList:
    """What is archived: segments by their names, history files' text by timeline.

    `unreadable` says for each timeline why its history could not be had, though it is there: damaged, for one, where it is encrypted.
    `doubtful` are segments that are there twice with different contents: pgBackRest gives none of both, so they don't count.
    """

    segments: dict[str, ArchivedFile]
    histories: dict[int, str]
    doubtful: tuple[str, ...] = ()
    unreadable: dict[int, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """What all segments take in the repository."""
        return sum(file.size_bytes for file in self.segments.values())


def archive_list(program: PgBackRest, repository: int, archive_id: str) -> ArchiveList:
    """List what is archived under an archive id. Raises PgBackRestFailed where the repository can't be reached."""
    place = f"archive/{program.stanza}/{archive_id}"
    text = program.output("repo-ls", IMPATIENT, "--recurse", "--output=json", f"--repo={repository}", place, timeout=_SECONDS)
    segments: dict[str, ArchivedFile] = {}
    doubtful: set[str] = set()
    histories: dict[int, str] = {}
    unreadable: dict[int, str] = {}
    try:
        files = [(path.rpartition("/")[2], file) for path, file in json.loads(text or "{}").items() if file["type"] == "file"]
        for name, file in files:
            if found := _SEGMENT.fullmatch(name):
                archived = ArchivedFile(found[1], found[2], file["size"], datetime.fromtimestamp(file["time"], UTC))
                if segments.setdefault(found[1], archived).digest != found[2]:
                    doubtful.add(found[1])
            elif found := _HISTORY.fullmatch(name):
                try:
                    text = program.output("repo-get", f"--repo={repository}", f"{place}/{name}", timeout=_SECONDS)
                    histories[int(found[1], 16)] = text
                except PgBackRestFailed as error:
                    unreadable[int(found[1], 16)] = f"{name} cannot be read: {error.why}"
    except (ValueError, KeyError, TypeError) as error:
        raise OperationFailed("pgbackrest repo-ls cannot be understood", f"{type(error).__name__}: {error}") from error
    for name in doubtful:
        del segments[name]
    return ArchiveList(segments, histories, tuple(sorted(doubtful)), unreadable)
