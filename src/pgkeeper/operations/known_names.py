"""The names that a shell completes: from directories and ledgers of this host. Nobody is asked, nothing is written."""

from pgkeeper.operations.off_site import known_off_site
from pgkeeper.operations.places import local_store
from pgkeeper.settings import Settings


def known_backups(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return id and database of each backup that is known here, newest first; nothing before the first run. Raises OperationFailed."""
    # Whoever asks for the store makes what is not there yet.
    if not all((settings.state_dir / name).exists() for name in ("host-identity", "seal.key")):
        return ()
    here = [(backup.created_at, backup.backup_id, backup.database) for backup in local_store(settings).backups()]
    away = [(copy.created_at, copy.backup_id, copy.database) for _, ledger in known_off_site(settings) for copy in ledger.copies]
    return tuple((backup_id, database) for _, backup_id, database in sorted({*here, *away}, reverse=True))
