"""`pgbackrest info`: what backups a repository holds, and of which cluster (its user guide, "Information command")."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.repository import name_of
from pgkeeper.pgbackrest.next_step import create_stanza
from pgkeeper.pgbackrest.program import IMPATIENT, PgBackRest, PgBackRestFailed

_SECONDS = 300.0
_NO_BACKUP = 2
_STANZA_MISSING = (1, 3)


class StanzaMissing(PgBackRestFailed):
    """The repository can be reached, and does not know the cluster."""


class RepositoryInfo(BaseModel):
    """One repository: of which cluster it is, under which archive id its log lies (`15-1`), and its backups, the oldest first.

    `older` counts backups of the cluster as it was before an upgrade to another major: they are restored by that one's programs alone.
    """

    model_config = ConfigDict(frozen=True)

    repository: int
    archive_id: str
    system_identifier: str
    major: int
    encrypted: bool
    backups: tuple[PhysicalBackup, ...]
    older: int = 0


def info(program: PgBackRest, repository: int, seconds: float = _SECONDS) -> RepositoryInfo:
    """Ask about one repository. Raises PgBackRestFailed where it can't be reached or knows nothing of the cluster.

    Raises OperationFailed when it takes longer than so many seconds.
    """
    text = program.output("info", IMPATIENT, "--output=json", f"--repo={repository}", timeout=seconds)
    try:
        stanzas = json.loads(text)
        stanza = next((one for one in stanzas if one["name"] == program.stanza), None)
        return _repository(repository, program, stanza)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise OperationFailed("pgbackrest info cannot be understood", f"{type(error).__name__}: {error}") from error


def _repository(repository: int, program: PgBackRest, document: dict[str, Any] | None) -> RepositoryInfo:
    status: dict[str, Any] = document["status"] if document else {"code": 1, "message": "missing stanza path"}
    code, message = status["code"], str(status["message"])
    if document is None or code not in (0, _NO_BACKUP) or not document["db"]:
        problems = [one["status"]["message"] for one in document["repo"]] if document else []
        hint = create_stanza(program.config_file, program.attached, program.stanza) if code in _STANZA_MISSING else ""
        shape = StanzaMissing if code in _STANZA_MISSING else PgBackRestFailed
        raise shape(f"repository {name_of(repository)} cannot be used", "; ".join(problems) or message, hint)
    current = document["db"][-1]
    ours = [one for one in document["backup"] if one["database"]["id"] == current["id"]]
    return RepositoryInfo(
        repository=repository,
        archive_id=f"{current['version']}-{current['id']}",
        system_identifier=str(current["system-id"]),
        major=int(str(current["version"]).partition(".")[0]),
        encrypted=document["cipher"] != "none",
        backups=tuple(sorted((_backup(repository, one) for one in ours), key=lambda backup: (backup.stopped_at, backup.label))),
        older=len(document["backup"]) - len(ours),
    )


def _backup(repository: int, document: dict[str, Any]) -> PhysicalBackup:
    sizes = document["info"]
    return PhysicalBackup(
        repository=repository,
        label=document["label"],
        kind=document["type"],
        started_at=_moment(document["timestamp"]["start"]),
        stopped_at=_moment(document["timestamp"]["stop"]),
        begin_lsn=document["lsn"]["start"],
        end_lsn=document["lsn"]["stop"],
        begin_segment=document["archive"]["start"],
        end_segment=document["archive"]["stop"],
        size_bytes=sizes["size"],
        # With block increments (2.46 and later) the full size is not told, what was added still is.
        repository_bytes=sizes["repository"]["delta"],
        prior=tuple(document["reference"] or ()),
        whole=not document["error"],
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
