"""What the ledger holds of a copy, read from the copy itself."""

from datetime import datetime

from pgkeeper.model.copy import HEADER_FILE
from pgkeeper.model.errors import RefusedError
from pgkeeper.model.ledger import CopyRecord, objects_of
from pgkeeper.stores.cloud_copy import CloudCopy


def record_of(copy: CloudCopy, seconds: float | None, copied_at: datetime) -> CopyRecord:
    """Return what the ledger holds of a copy. Raises IntegrityError when it is not what it should be."""
    header = copy.header
    found = copy.objects
    sizes = objects_of(header, found[HEADER_FILE].size)
    try:
        manifest = copy.manifest()
    except RefusedError:
        manifest = None
    return CopyRecord(
        backup_id=copy.backup_id,
        cluster=copy.cluster,
        database=copy.database,
        created_at=copy.created_at,
        copied_at=copied_at,
        seconds=seconds,
        storage_class=found[HEADER_FILE].storage_class,
        objects=sizes,
        manifest_sha256=header.manifest_sha256,
        tables=len(manifest.contents.tables) if manifest else None,
        rows=manifest.contents.rows if manifest else None,
        database_bytes=manifest.database.size_bytes if manifest else None,
        verified=copy.verified(),
    )
