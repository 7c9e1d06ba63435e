"""Which tables a catalog has: looked at for each use, so cheaply; changed by Alembic, imported only then."""

from pathlib import Path

from sqlalchemy import Connection, text

from pgkeeper.catalog.errors import CatalogNewer
from pgkeeper.catalog.tables import REVISION

_VERSIONS = "alembic_version"
_LOCK = 7_305_428_116


def is_current(connection: Connection) -> bool:
    """Tell whether the tables are those of this release."""
    return revision(connection) == REVISION


def revision(connection: Connection) -> str | None:
    """Return the migration that a catalog was brought to, or None when it is new."""
    if connection.dialect.name == "sqlite":
        # One look, where the inspector would take several.
        found = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = :name"), {"name": _VERSIONS}).scalar()
    else:
        found = connection.execute(text("SELECT to_regclass(:name)"), {"name": _VERSIONS}).scalar()
    return connection.execute(text(f"SELECT version_num FROM {_VERSIONS}")).scalar() if found else None  # noqa: S608


def migrate(connection: Connection, place: str) -> None:
    """Bring the catalog at `place` to this release, within the transaction that is open. Raises CatalogNewer when it is ahead."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        # Other hosts of the fleet may be about to do the same.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    at = revision(connection)
    try:
        if at is not None:
            ScriptDirectory.from_config(config).get_revision(at)
    except CommandError:
        raise CatalogNewer(place) from None
    command.upgrade(config, "head")
