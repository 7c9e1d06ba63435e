"""A proof: that one backup passed a check, how deep it went, and what it took.

It lies beside the copy it speaks of, sealed, and names the manifest (off site the header of the copy) by its SHA-256: a proof copied to
another backup, or left beside one whose manifest was changed, proves nothing.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["checksum", "contents", "restore"]
LEVELS: tuple[Level, ...] = ("checksum", "contents", "restore")
"""How deep a check goes, the deepest last. A backup that passed the last one is proven."""
LABEL = "proof"


class Proof(BaseModel):
    """One passed check. Times are UTC; `seconds` and `phases` are what it took, by phase.

    For level `restore` besides: `recovery_seconds` is what a restore takes without comparing (the measured recovery time), `server_version`
    the PostgreSQL it was restored into, `warnings` what was different there without costing anything. `tables` and `rows` are None where
    only ciphertext could be checked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pgkeeper.proof/1"] = "pgkeeper.proof/1"
    backup_id: str
    manifest_sha256: str
    level: Level
    made_by: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    phases: dict[str, float] = Field(default_factory=dict)
    recovery_seconds: float | None = None
    server_version: str | None = None
    tables: int | None
    rows: int | None
    warnings: tuple[str, ...] = ()


def at_least(level: Level) -> tuple[Level, ...]:
    """Return the levels that go as deep as `level`, or deeper."""
    return LEVELS[LEVELS.index(level) :]
