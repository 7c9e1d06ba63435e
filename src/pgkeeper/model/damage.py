"""What a check found wrong with a backup: it then counts for nothing, until a check as deep succeeds.

Sealed and bound to the manifest like a proof, since expiry takes other backups for the newest good ones because of it.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.proof import Level

LABEL = "damage"


class Damage(BaseModel):
    """What was found, when (UTC), and by a check of which level."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pgkeeper.damage/1"] = "pgkeeper.damage/1"
    backup_id: str
    manifest_sha256: str
    level: Level
    found: str
    found_at: datetime
