"""Whose cluster lies where production is expected: after the loss of a host somebody may have made a new one there."""

from pgkeeper.model.errors import PgkeeperError
from pgkeeper.operations.places import server
from pgkeeper.pgbackrest.configuration import configured_paths
from pgkeeper.postgres.data_directory import system_identifier_in
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import told
from pgkeeper.settings import Settings


def foreign_cluster(settings: Settings, system_identifier: str) -> str:
    """Return in words that another cluster than a repository's is in its place, as its server or else its files say; or nothing."""
    there, found = _of_server(settings) or _of_files(settings)
    if found in (None, system_identifier):
        return ""
    another = f"{there} is another cluster ({found}) than the one that was archived"
    return f"{another} ({system_identifier}), which can be recovered all the same"


def _of_server(settings: Settings) -> tuple[str, str | None] | None:
    try:
        with server(settings).connect_maintenance() as session, told("asking which cluster runs here"):
            found = identify(session)
            return f"the server on {found.data_directory}", found.system_identifier
    except PgkeeperError:
        return None


def _of_files(settings: Settings) -> tuple[str, str | None]:
    data, _ = configured_paths(settings.pitr_config_file, settings.pitr_stanza)
    return f"what lies in {data}", system_identifier_in(data) if data else None
