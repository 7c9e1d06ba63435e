"""What has to be so before a restore makes anything: nothing left of killed ones, and a server that can take the backup."""

import os
import shutil
from pathlib import Path

from pgkeeper.model.errors import OperationFailed, PgkeeperError
from pgkeeper.model.manifest import Manifest
from pgkeeper.postgres.facts import ClusterIdentity, passing_roles
from pgkeeper.postgres.load.logins import drop_role
from pgkeeper.postgres.load.pg_cron import has_pg_cron, require_pg_cron
from pgkeeper.postgres.lock_room import require_lock_room
from pgkeeper.postgres.new_database import drop_database, leftovers
from pgkeeper.postgres.server import Server, Session, told


def clear_leftovers(server: Server, admin: Session, warnings: list[str]) -> None:
    """Remove what killed restores left: we hold the lock that they would hold. What resists is a remark, not a failure."""
    for name in leftovers(admin):
        try:
            with told(f"removing the unfinished database {name}"):
                drop_database(server, admin, name)
        except PgkeeperError as error:
            warnings.append(str(error))
    warnings.extend(warning for name in passing_roles(admin) if (warning := drop_role(admin, name)))


def require_fit(admin: Session, cluster: ClusterIdentity, manifest: Manifest) -> None:
    """Find out before anything is created whether this server can take the backup."""
    if cluster.major < manifest.cluster.major:
        raise OperationFailed(
            f"this server is PostgreSQL {cluster.major}",
            f"the backup is from {manifest.cluster.major}",
            f"restore onto PostgreSQL {manifest.cluster.major} or newer",
        )
    available = {row["name"] for row in admin.execute("SELECT name FROM pg_available_extensions")}
    missing = sorted({extension.name for extension in manifest.database.extensions} - available)
    if missing:
        raise OperationFailed(
            "extensions of the backup are not installed on this server", ", ".join(missing), "install their packages, then try again"
        )
    if has_pg_cron(manifest.database):
        require_pg_cron(admin)
    require_lock_room(admin, len(manifest.contents.tables) + len(manifest.contents.sequences))
    directory = Path(cluster.data_directory)
    if os.access(directory, os.R_OK):
        free = shutil.disk_usage(directory).free
        if free < manifest.database.size_bytes:
            raise OperationFailed(
                "there is too little space for the restore",
                f"{directory} has {free} bytes free, the database had {manifest.database.size_bytes}",
                "free some space",
            )
