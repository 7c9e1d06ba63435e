"""Settings: the environment, then the settings file; one model, checked as a whole.

The file is `$PGKEEPER_ENV_FILE`, or `/etc/pgkeeper/pgkeeper.env` when that exists. It holds `KEY=value` lines with python-dotenv's quoting;
nothing in a value is expanded, so a password may hold any character.
"""

import csv
import difflib
import io
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pgkeeper.model.absolute_path import AbsolutePath
from pgkeeper.model.errors import ConfigurationError
from pgkeeper.model.retention import Policy
from pgkeeper.off_site_settings import PROVIDER_VARIABLES, OffSiteSettings
from pgkeeper.pitr_settings import PitrSettings

NO_VARIABLES = ("libpq", "provider_variables", "warnings")
"""Fields of the settings that are no variable themselves."""
DEFAULT_FILE = Path("/etc/pgkeeper/pgkeeper.env")
_PREFIX = "BACKUP_"
_PRESET_DAYS = {"7+30": (7, 30), "14+60": (14, 60), "30+90": (30, 90)}
"""For how many days a preset keeps local backups, and copies off site."""


class Settings(OffSiteSettings, PitrSettings):
    """Everything that can be set, named as in the environment without `BACKUP_`.

    `databases` is empty for "all", `catalog_url` for the file in `state_dir`. `proof_dir` is where throwaway clusters are made (default:
    `proofs` in the state directory). `from_standby` backs a standby up too, under its host's own identity. `libpq` holds libpq's own
    `PG…` variables, from the environment or the file. `warnings` are remarks about the settings themselves, such as a misspelt name.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, case_sensitive=True, extra="ignore", frozen=True)

    project_name: str = Field(default_factory=socket.gethostname, min_length=1)
    console_url: str = ""
    databases: tuple[str, ...] = ()
    dir: AbsolutePath = Path("/var/backups/pgkeeper")
    state_dir: AbsolutePath = Path("/var/lib/pgkeeper")
    catalog_url: SecretStr = SecretStr("")
    log_dir: AbsolutePath = Path("/var/log/pgkeeper")
    proof_dir: AbsolutePath = Path()
    retention_preset: Literal["7+30", "14+60", "30+90", "custom"] | None = None
    local_retention_days: int = Field(default=7, ge=1, le=36500)
    keep_daily: int = Field(default=0, ge=0, le=36500)
    keep_weekly: int = Field(default=0, ge=0, le=36500)
    keep_monthly: int = Field(default=0, ge=0, le=36500)
    keep_yearly: int = Field(default=0, ge=0, le=36500)
    notify_urls: tuple[SecretStr, ...] = ()
    app_services: tuple[str, ...] = ()
    from_standby: bool = False
    lock_timeout_seconds: int = Field(default=300, ge=1, le=86400)
    libpq: Mapping[str, str] = Field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load_settings` gathered: it alone knows the file's rules."""
        return (init_settings,)

    @property
    def retention(self) -> Policy:
        """Return how long local backups are kept."""
        return Policy(self.local_retention_days, self.keep_daily, self.keep_weekly, self.keep_monthly, self.keep_yearly)

    @property
    def off_site_retention(self) -> Policy:
        """Return how long copies off site are kept."""
        return Policy(self.retention_days, self.keep_daily, self.keep_weekly, self.keep_monthly, self.keep_yearly)

    @model_validator(mode="before")
    @classmethod
    def _days_of_preset(cls, values: dict[str, Any]) -> dict[str, Any]:
        days = _PRESET_DAYS.get(str(values.get("retention_preset")))
        return values if days is None else {"local_retention_days": days[0], "retention_days": days[1], **values}

    @model_validator(mode="after")
    def _agreed(self) -> "Settings":
        """Refuse a preset beside days that say something else, and one called custom without any."""
        preset = self.retention_preset
        if preset == "custom" and "local_retention_days" not in self.model_fields_set:
            raise ValueError("BACKUP_RETENTION_PRESET is custom, but BACKUP_LOCAL_RETENTION_DAYS does not say how many days")
        for name, means, says in zip(
            ("LOCAL_RETENTION_DAYS", "RETENTION_DAYS"),
            _PRESET_DAYS.get(preset or "", ()),
            (self.local_retention_days, self.retention_days),
            strict=False,
        ):
            if means != says:
                raise ValueError(
                    f"BACKUP_RETENTION_PRESET {preset} means {means} days here, but BACKUP_{name} says {says};"
                    " remove one, or set BACKUP_RETENTION_PRESET=custom"
                )
        return self

    @field_validator("databases", mode="before")
    @classmethod
    def _database_list(cls, value: object) -> object:
        """Read a comma-separated list; a name that holds a comma or a quote is quoted as in CSV."""
        if not isinstance(value, str):
            return value
        names = [name for row in csv.reader(io.StringIO(value), skipinitialspace=True, strict=True) for name in row]
        names = [name.rstrip() if f'"{name}"' not in value else name for name in names if name.strip()]
        if not names:
            raise ValueError('is empty; write "all" or names with commas between')
        if names == ["all"]:
            return ()
        if "all" in names:
            raise ValueError('holds "all" and names; write either')
        return tuple(dict.fromkeys(names))

    @field_validator("notify_urls", mode="before")
    @classmethod
    def _url_list(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("catalog_url")
    @classmethod
    def _catalog_url(cls, value: SecretStr) -> SecretStr:
        if value and not value.get_secret_value().startswith(("sqlite:////", "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql+psycopg:// or, for a file, with sqlite://// and an absolute path")
        return value

    @field_validator("app_services", mode="before")
    @classmethod
    def _service_list(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("console_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _beside_the_state(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let proofs and recoveries take place in the state directory where nothing else is said."""
        state = Path(values.get("state_dir", cls.model_fields["state_dir"].default))
        return {"proof_dir": state / "proofs", "pitr_dir": state / "pitr" / "side", **values}

    @model_validator(mode="after")
    def _apart(self) -> "Settings":
        """Refuse places inside one another: expiry works in one, the state of everything lies in the other."""
        for one, other in ((self.dir, self.state_dir), (self.state_dir, self.dir)):
            if one == other or one in other.parents:
                raise ValueError(f"BACKUP_DIR ({self.dir}) and BACKUP_STATE_DIR ({self.state_dir}) must not lie inside one another")
        if self.proof_dir in (self.dir, self.state_dir) or self.dir in self.proof_dir.parents:
            raise ValueError(f"BACKUP_PROOF_DIR ({self.proof_dir}) must be a directory of its own, and not in BACKUP_DIR ({self.dir})")
        return self


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process, from `environ` (default: the process's own) and the settings file.

    Raises ConfigurationError (exit status 3) naming the setting, never its value where that may be secret.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("PGKEEPER_ENV_FILE")
    path = Path(named) if named else DEFAULT_FILE
    values = _read_file(path, required=bool(named))
    values.update((name, value) for name, value in environ.items() if name.startswith((_PREFIX, "PG")) or name in PROVIDER_VARIABLES)
    fields = {name: _PREFIX + name.upper() for name in Settings.model_fields if name not in NO_VARIABLES}
    given: dict[str, Any] = {name: values[variable] for name, variable in fields.items() if variable in values}
    given["libpq"] = {name: value for name, value in values.items() if name.startswith("PG") and not name.startswith("PGKEEPER_")}
    given["provider_variables"] = {name: values[name] for name in PROVIDER_VARIABLES & values.keys()}
    given["warnings"] = _unknown(values, set(fields.values()), path)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError("settings are wrong", _explain(error, fields), f"see {path} and the environment") from None


def _read_file(path: Path, *, required: bool) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise ConfigurationError(f"the settings file {path} does not exist", "", "check PGKEEPER_ENV_FILE") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the settings file {path} cannot be read", str(reason)) from None
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigurationError(f"the settings file {path} cannot be understood", f"line {binding.original.line} is not NAME=value")
        if binding.key is None or binding.value is None:
            continue
        if values.setdefault(binding.key, binding.value) != binding.value:
            raise ConfigurationError(f"the settings file {path} contradicts itself", f"{binding.key} is set twice, to different values")
    return values


def _unknown(values: Mapping[str, str], known: set[str], path: Path) -> tuple[str, ...]:
    warnings = []
    for name in sorted(values):
        if name.startswith(_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(f"{name} is not a setting of pgkeeper{hint} (see {path} and the environment)")
    return tuple(warnings)


def _explain(error: ValidationError, fields: Mapping[str, str]) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    location = first["loc"]
    return f"{fields.get(str(location[0]), location[0])} {_lower(message)}" if location else message


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
