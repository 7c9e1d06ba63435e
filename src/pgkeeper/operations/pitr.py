"""From settings to what point-in-time recovery works on: pgBackRest, its repositories, and where its state is kept."""

from pathlib import Path

from pgkeeper.model.errors import ConfigurationError, UsageError
from pgkeeper.model.repository import REPOSITORIES, RepositoryName
from pgkeeper.pgbackrest.program import PgBackRest
from pgkeeper.settings import Settings


def require_pitr(settings: Settings) -> None:
    """Raises ConfigurationError (exit status 3) where point-in-time recovery is not set up."""
    if not settings.pitr_enabled:
        raise ConfigurationError(
            "point-in-time recovery is not set up", "BACKUP_PITR_ENABLED is not true", "deploy with pgkeeper_pitr_enabled: true"
        )


def pitr_state(settings: Settings) -> Path:
    """Return the directory with the state of point-in-time recovery. It is made where it is missing."""
    path = settings.state_dir / "pitr"
    attached_directory(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def attached_directory(settings: Settings) -> Path:
    """Return the directory with the configuration of repositories that can be detached."""
    return settings.state_dir / "pitr" / "attached"


def cloud_link(settings: Settings) -> Path:
    """Return the link whose presence attaches the repository in the cloud."""
    return attached_directory(settings) / "cloud.conf"


def cloud_configuration(settings: Settings) -> Path:
    """Return the file that configures the repository in the cloud, beside that of the local one."""
    return settings.pitr_config_file.with_name("pgbackrest-cloud.conf")


def pgbackrest(settings: Settings) -> PgBackRest:
    """Return pgBackRest for this host's cluster. Raises ConfigurationError (exit status 3) where that is not set up."""
    require_pitr(settings)
    pitr_state(settings)
    return PgBackRest(settings.pitr_config_file, attached_directory(settings), settings.pitr_stanza)


def attached(settings: Settings) -> tuple[RepositoryName, ...]:
    """Return the repositories that are written to and read from."""
    return REPOSITORIES if cloud_link(settings).exists() else REPOSITORIES[:1]


def detached(settings: Settings) -> tuple[RepositoryName, ...]:
    """Return the repositories that are configured, but detached."""
    return REPOSITORIES[1:] if cloud_configuration(settings).exists() and not cloud_link(settings).exists() else ()


def require_attached(settings: Settings, repository: RepositoryName) -> None:
    """Raises UsageError (exit status 2) where a repository is not there to be used."""
    if repository in attached(settings):
        return
    if repository in detached(settings):
        raise UsageError(f"repository {repository} is detached", "", "attach it with `pgkeeper pitr attach cloud`")
    raise UsageError(f"there is no repository {repository}", "", "deploy with pgkeeper_cloud_enabled: true and role pgkeeper_wal")
