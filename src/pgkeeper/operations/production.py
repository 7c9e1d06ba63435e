"""Production as it stands before a recovered cluster takes its place, whichever way."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pgkeeper.host.services import Services
from pgkeeper.model.errors import ConfigurationError, OperationFailed, RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.operations.cluster_replacements import ClusterJournal
from pgkeeper.operations.pitr_request import Planned
from pgkeeper.operations.places import server
from pgkeeper.operations.recovery import target_told
from pgkeeper.operations.settle_cluster import Settled, close_unusable, server_unit
from pgkeeper.pgbackrest.configuration import configured_paths
from pgkeeper.postgres.data_directory import is_running
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Production:
    """What is to be replaced: its data directory, which may be gone, and whether its server runs.

    `unreachable` says why a server that runs can't be asked anything; None where it can, or none runs.
    """

    data: Path
    there: bool
    running: bool
    unreachable: OperationFailed | None = None


@dataclass(frozen=True)
class Replacing:
    """What both ways of replacing production by a recovered cluster go by.

    `asked` says what the request of the `request_id` was; `down` are earlier replacements that left production's files of no use.
    """

    planned: Planned
    production: Production
    settings: Settings
    progress: Progress
    at: datetime
    asked: str
    request_id: str | None = None
    down: tuple[Settled, ...] = ()

    @property
    def stamp(self) -> str:
        """The time in names of directories."""
        return self.at.strftime(_STAMP)

    def begin(self, **facts: Any) -> ClusterJournal:  # noqa: ANN401 - ClusterEntry checks them
        """Begin the journal; with what is known either way, and `facts`. It takes over from those that left production down."""
        journal = ClusterJournal.begin(
            self.settings, self.at,
            kind="replace", system_identifier=self.planned.contents.info.system_identifier,
            data_directory=str(self.production.data), target=target_told(self.planned), backup=self.planned.plan.backup,
            request_id=self.request_id, asked=self.asked, **facts,
        )  # fmt: skip
        close_unusable(self.settings, self.down)
        return journal


def find_production(settings: Settings) -> Production:
    """Return what is to be replaced. Raises ConfigurationError where nobody says where it is, OperationFailed for a standby."""
    try:
        with server(settings).connect_maintenance() as session, told("looking at production"):
            found = identify(session)
    except OperationFailed as error:
        data, _ = configured_paths(settings.pitr_config_file, settings.pitr_stanza)
        if data is None:
            raise ConfigurationError("nobody says where the cluster is", f"{settings.pitr_config_file} has no pg1-path") from None
        # One of ours may be left there by a recovery in place that was killed; that is none of production's.
        runs = is_running(data) and not SideCluster(data, data).configured
        return Production(data, data.exists(), running=runs, unreachable=error if runs else None)
    if found.standby:
        raise OperationFailed("this server cannot be replaced", "it is a standby", "set PGHOST and PGPORT to its primary")
    return Production(Path(found.data_directory), there=True, running=True)


def require_writable(location: Path) -> None:
    """Raise RefusedError unless files of a tablespace can be written in its location."""
    if not os.access(location, os.W_OK):
        raise RefusedError(
            f"the tablespace in {location} cannot be brought back", "it is not there, or not postgres's own", f"make {location}"
        )


def require_helpers(settings: Settings) -> None:
    """Find out beforehand whether services and PostgreSQL can be stopped and started. Raises RefusedError (exit status 6)."""
    Services(settings.app_services, settings.state_dir).require_helper()
    server_unit(settings).require_helper()
