"""What a check found wrong with a backup, until a check as deep succeeds.

A backup whose bytes or contents are wrong counts for nothing. One of which only a restore differed is not proven, but its data is right.

Sealed and bound to the manifest like a proof, since expiry takes other backups for the newest good ones because of it.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.proof import Level

LABEL = "damage"
KEEP_IT = "keep it: its checksums and contents are right; the restored database shows what differs, `pgkeeper restore` keeps it"


class Damage(BaseModel):
    """What was found, when (UTC), and by a check of which level.

    `contents_right`: after a restore differed, every byte and all contents were read again and found right (True) or not (False). It is
    None where only the level says that: a shallower check found the damage, or an older release wrote this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pgkeeper.damage/1"] = "pgkeeper.damage/1"
    backup_id: str
    manifest_sha256: str
    level: Level
    found: str
    found_at: datetime
    contents_right: bool | None = None

    @property
    def only_restore(self) -> bool:
        """Tell whether bytes and contents are known to be right, and only what was restored differed."""
        return self.contents_right is True

    @property
    def is_certain(self) -> bool:
        """Tell whether bytes or contents are known to be wrong, not only what was restored from them."""
        return self.level != "restore" or self.contents_right is False

    @property
    def advice(self) -> str:
        """Return the next step. Deletion is advised only where checksum or contents failed."""
        if self.only_restore:
            return KEEP_IT
        if self.level == "restore" and self.contents_right is None:
            return f"keep it until its contents are checked: `pgkeeper verify {self.backup_id} --level contents`"
        return removal_advice(self.backup_id)


def removal_advice(backup_id: str) -> str:
    """Return the next step for a backup whose bytes or contents are wrong."""
    return f"look at it; `pgkeeper delete {backup_id}` removes it"
