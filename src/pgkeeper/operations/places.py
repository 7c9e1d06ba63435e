"""From settings to the things operations work on, and from what a person writes to one backup."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pgkeeper.catalog.catalog import Catalog, shared_catalog
from pgkeeper.host.identity import host_identity
from pgkeeper.host.locks import exclusive
from pgkeeper.host.seal import host_seal
from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import UsageError
from pgkeeper.operations.off_site import bucket_settings, cloud_store
from pgkeeper.postgres.facts import ClusterIdentity, identify
from pgkeeper.postgres.server import Server, Session, require_superuser, told
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy
from pgkeeper.stores.local import LocalStore
from pgkeeper.stores.store import Kind, Store

LATEST = "latest"
STORE_WAIT = timedelta(seconds=30)
"""How long to wait for others who change the store, unless somebody asks for longer."""


def local_store(settings: Settings) -> LocalStore:
    """Return the local store of this host."""
    return LocalStore(settings.dir, host_identity(settings.state_dir), host_seal(settings.state_dir))


def copies_in(settings: Settings, source: StoreName, host: str = "") -> Store[Any]:
    """Return the store that a person means, with the copies of this host, or off site with those of another one named `host`.

    Raises ConfigurationError (exit status 3) where there is no such store, UsageError for another host's local one.
    """
    if source == "local":
        if host:
            raise UsageError("only copies off site can be another host's", "", "say --from cloud as well")
        return local_store(settings)
    return cloud_store(settings, bucket_settings(settings, source), host)


def downloads(settings: Settings) -> Path:
    """Return where copies from off site are fetched to, encrypted as they are."""
    return settings.dir / ".downloads"


def store_lock(settings: Settings, wait: timedelta = STORE_WAIT) -> AbstractContextManager[None]:
    """Return the lock of whoever changes what is in the local store: one at a time removes, pins, or claims the place.

    Backups are published without it: their dump lock keeps them apart. Entering raises BusyError (exit status 5) after `wait`.
    """
    name = f"store {host_identity(settings.state_dir)}"
    return exclusive(settings.state_dir, name, "other work that removes or pins backups", wait, "try again when it has ended")


def server(settings: Settings) -> Server:
    """Return the server that settings name."""
    return Server(settings.libpq)


def catalog(settings: Settings) -> Catalog:
    """Return this process's catalog; it is opened when it is used."""
    return shared_catalog(settings.state_dir, settings.catalog_url.get_secret_value())


def outside_session(settings: Settings, database: str) -> Session:
    """Return a superuser's session in a database that is not `database`, so that it can be renamed."""
    reached = server(settings)
    session = reached.connect_maintenance()
    if session.info.dbname != database:
        return session
    session.close()
    return reached.connect("template1" if database != "template1" else "postgres")


def cluster_reached(settings: Settings) -> ClusterIdentity:
    """Return which cluster settings lead to. Raises PgkeeperError when it can't be reached, ConfigurationError without a superuser."""
    with server(settings).connect_maintenance() as session, told("asking the server who it is"):
        require_superuser(session)
        return identify(session)


def newest_by_database(backups: Sequence[Kind]) -> dict[tuple[str, str], Kind]:
    """Return the newest backup of each (cluster, database).

    One that claims to be from the future is not believed: it counts only where there is no other.
    """
    newest: dict[tuple[str, str], Kind] = {}
    now = datetime.now(UTC)
    for backup in sorted(backups, key=lambda backup: (backup.created_at <= now, backup.created_at, backup.backup_id), reverse=True):
        newest.setdefault((backup.cluster, backup.database), backup)
    return newest


def one_backup(store: Store[Any], wanted: str, database: str | None, never_latest: frozenset[str] = frozenset()) -> Copy:
    """Return the backup a person means by an id or by `latest` (with a database where there are several).

    `latest` never means one of `never_latest`. Raises UsageError (exit status 2) naming the choices when that is not exactly one.
    """
    if wanted != LATEST:
        found: Copy = store.find(wanted)
        if database is not None and found.database != database:
            raise UsageError(f"backup {wanted} is one of database {found.database}, not of {database}")
        return found
    newest = newest_by_database(tuple(backup for backup in store.backups() if backup.backup_id not in never_latest))
    chosen: list[Copy] = [backup for backup in newest.values() if database is None or backup.database == database]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        whose = f" of database {database}" if database is not None else ""
        raise UsageError(f"there is no backup{whose} in {store.where}", "", "`pgkeeper list` shows what is there")
    if database is None:
        names = ", ".join(sorted({backup.database for backup in chosen}))
        raise UsageError("there are backups of several databases", names, "choose one with --database, or name a backup's id")
    clusters = ", ".join(backup.cluster for backup in chosen)
    raise UsageError(f"several clusters have a database {database}", clusters, "name a backup's id")
