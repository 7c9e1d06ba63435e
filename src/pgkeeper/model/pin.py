"""A pin: its owner wants this backup kept, whatever retention says.

It lies beside the copy it speaks of, sealed with the host's key. Sealed or not, a pin that is there keeps its backup: what cannot be
believed is a reason to ask, not to remove.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

LABEL = "pin"


class Pin(BaseModel):
    """Why and since when (UTC) a backup is pinned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pgkeeper.pin/1"] = "pgkeeper.pin/1"
    backup_id: str
    reason: str
    pinned_at: datetime
