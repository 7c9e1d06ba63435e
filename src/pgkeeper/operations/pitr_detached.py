"""Since when a repository is detached."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.repository import RepositoryName
from pgkeeper.operations.pitr import pitr_state
from pgkeeper.settings import Settings


class Detached(BaseModel):
    """When a repository was detached, and whether a full backup is owed since it was attached again: there is a gap in its log."""

    model_config = ConfigDict(frozen=True)

    since: datetime | None = None
    owes_backup: bool = False


def read_detached(settings: Settings, repository: RepositoryName) -> Detached:
    """Return what is known; nothing where it never was detached, or where the record can't be read."""
    try:
        return Detached.model_validate_json(_path(settings, repository).read_bytes())
    except FileNotFoundError:
        return Detached()
    except (OSError, ValidationError) as error:
        log.warning("the record of a detached repository could not be read", repository=repository, error=type(error).__name__)
        return Detached()


def write_detached(settings: Settings, repository: RepositoryName, detached: Detached) -> None:
    """Write it down, on disk when this returns. Raises OSError."""
    replace_file(_path(settings, repository), detached.model_dump_json().encode())


def detached_since(settings: Settings, repository: RepositoryName) -> datetime | None:
    """Return when a repository was detached, as far as that is known."""
    return read_detached(settings, repository).since


def _path(settings: Settings, repository: RepositoryName) -> Path:
    return pitr_state(settings) / f"detached-{repository}.json"
