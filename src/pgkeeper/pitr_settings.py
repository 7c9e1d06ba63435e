"""Settings of point-in-time recovery: which cluster pgBackRest archives, and where recoveries are made."""

import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from pgkeeper.model.absolute_path import AbsolutePath


class PitrSettings(BaseSettings):
    """The part of the settings that speaks of point-in-time recovery.

    `pitr_stanza` is pgBackRest's name for the cluster, `pitr_config_file` the configuration it is given. `pitr_dir` is where side clusters
    are made (default: `pitr/side` in the state directory). `pitr_retention_days` is how far back any moment can be brought back.
    """

    pitr_enabled: bool = False
    pitr_stanza: str = ""
    pitr_config_file: AbsolutePath = Path("/etc/pgkeeper/pgbackrest.conf")
    pitr_dir: AbsolutePath = Path()
    pitr_retention_days: int = Field(default=7, ge=1, le=3650)

    @field_validator("pitr_stanza")
    @classmethod
    def _plain(cls, value: str) -> str:
        if value and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value) is None:
            raise ValueError("must be letters, digits, dots, dashes and underscores, as pgBackRest wants it")
        return value

    @model_validator(mode="after")
    def _named(self) -> "PitrSettings":
        if self.pitr_enabled and not self.pitr_stanza:
            raise ValueError("BACKUP_PITR_ENABLED is true, but BACKUP_PITR_STANZA does not say what pgBackRest calls the cluster")
        return self
