"""What can be restored instead of a backup that is damaged: another copy of it, or an older backup of the same database."""

from pgkeeper.model.errors import ErrorInfo, PgkeeperError
from pgkeeper.model.shell import quoted
from pgkeeper.operations.off_site import known_off_site
from pgkeeper.operations.places import local_store
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy


def with_what_instead(info: ErrorInfo, backup: Copy, settings: Settings, source: str) -> ErrorInfo:
    """Return what was found wrong with a backup of this host, naming the backup, with commands that restore what is good instead.

    Asks nobody far away: of copies off site the ledgers tell.
    """
    what = info.what if backup.backup_id in info.what else f"backup {backup.backup_id} is damaged: {info.what}"
    try:
        ways = "; ".join(_ways(backup, settings, source)) or f"make another one: `pgkeeper backup --database {quoted(backup.database)}`"
    except PgkeeperError:
        ways = "`pgkeeper list` shows other backups"
    return info.model_copy(update={"what": what, "hint": ways})


def _ways(backup: Copy, settings: Settings, source: str) -> list[str]:
    ways = [
        f"the copy in {store} is another one: `pgkeeper restore {backup.backup_id} --from {store}`"
        for store, ledger in known_off_site(settings)
        if store != source and ledger.find(backup.cluster, backup.backup_id) is not None
    ]
    here = [other for other in local_store(settings).backups() if (other.cluster, other.database) == (backup.cluster, backup.database)]
    same = next((other for other in here if other.backup_id == backup.backup_id), None)
    if source != "local" and same is not None and same.whole() and same.damage() is None:
        ways.append(f"the one on this host is another copy: `pgkeeper restore {backup.backup_id}`")
    older = (other for other in here if other.created_at < backup.created_at)
    good = next((other for other in older if other.readable() and other.whole() and other.damage() is None), None)
    if good is not None:
        ways.append(f"the good one before is {good.backup_id}: `pgkeeper restore {good.backup_id}`")
    return ways
