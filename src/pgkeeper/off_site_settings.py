"""Settings of copies off site: which buckets, and how what goes there is encrypted."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from pgkeeper.model.absolute_path import AbsolutePath
from pgkeeper.model.prices import Price, parse_prices

Provider = Literal["backblaze", "aws", "gcs"]
OffSite = Literal["cloud", "replica"]

CREDENTIALS: Mapping[Provider, tuple[str, str, str]] = {
    "backblaze": ("BACKBLAZE_BUCKET_NAME", "BACKBLAZE_KEY_ID", "BACKBLAZE_APPLICATION_KEY"),
    "aws": ("AWS_S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "gcs": ("GCS_BUCKET_NAME", "GCS_ACCESS_KEY_ID", "GCS_SECRET_ACCESS_KEY"),
}
"""The variables of each provider that name the bucket, the key's id and the key."""
AWS_REGION = "AWS_REGION"
PROVIDER_VARIABLES = frozenset({AWS_REGION, *(name for names in CREDENTIALS.values() for name in names)})

_GOOGLE = "https://storage.googleapis.com"
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?(?:/s)?$", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_KEY_BYTES = 1024  # S3 takes object keys of 1024 bytes; most of it must be left for names.


@dataclass(frozen=True)
class BucketSettings:
    """One bucket. `endpoint_url` is empty for AWS's own; keys are empty where AWS's instance role is used.

    `may_delete` is False where the bucket's own lifecycle removes copies, and the host has no right to.
    """

    store: OffSite
    provider: Provider
    bucket: str
    region: str
    endpoint_url: str
    prefix: str
    storage_class: str
    may_delete: bool
    key_id: SecretStr = field(repr=False)
    key: SecretStr = field(repr=False)


class OffSiteSettings(BaseSettings):
    """The part of the settings that speaks of copies off site.

    `provider_variables` holds the providers' own variables (`BACKBLAZE_…`, `AWS_…`, `GCS_…`). `cloud_upload_limit` is in bytes a second,
    0 for none. `retention_days` is for how many days copies are kept. `monthly_budget` is in dollars, `prices` are those that differ from
    the list.
    """

    cloud_enabled: bool = False
    cloud_provider: Provider | None = None
    cloud_endpoint_url: str = ""
    cloud_prefix: str = "pgkeeper"
    cloud_storage_class: str = ""
    cloud_upload_limit: int = Field(default=0, ge=0)
    cloud_expiry: Literal["pgkeeper", "bucket"] = "pgkeeper"
    retention_days: int = Field(default=30, ge=1, le=36500)
    encryption_enabled: bool = True
    encryption_method: Literal["openssl", "age"] = "openssl"
    encryption_key: SecretStr = SecretStr("")
    encryption_key_file: AbsolutePath | None = None
    age_recipients: tuple[str, ...] = ()
    age_identity_file: AbsolutePath | None = None
    age_signers: tuple[str, ...] = ()
    replica_provider: Provider | None = None
    replica_bucket_name: str = ""
    replica_region: str = ""
    replica_endpoint_url: str = ""
    replica_prefix: str = "pgkeeper"
    replica_storage_class: str = ""
    replica_key_id: SecretStr = SecretStr("")
    replica_key: SecretStr = SecretStr("")
    monthly_budget: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    prices: tuple[Price, ...] = ()
    provider_variables: Mapping[str, str] = Field(default_factory=dict, repr=False)

    @property
    def buckets(self) -> tuple[BucketSettings, ...]:
        """Return the buckets that copies go to, the first one first; none while copies off site are not enabled."""
        if not self.cloud_enabled:
            return ()
        return (self._cloud(), self._replica()) if self.replica_provider else (self._cloud(),)

    @field_validator("cloud_upload_limit", mode="before")
    @classmethod
    def _rate(cls, value: object) -> object:
        """Read bytes a second, with a unit where there is one: `500K`, `2M`."""
        if not isinstance(value, str):
            return value
        found = _SIZE.match(value.strip())
        if found is None:
            raise ValueError('must be bytes a second, as in "500K" or "2M"')
        return int(float(found[1]) * _UNITS[found[2].upper()])

    @field_validator("age_recipients", "age_signers", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("prices", mode="before")
    @classmethod
    def _price_list(cls, value: object) -> object:
        return parse_prices(value) if isinstance(value, str) else value

    @field_validator("cloud_endpoint_url", "replica_endpoint_url")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        url = urlsplit(value)
        if value and not (url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname or ""))):
            raise ValueError("must begin with https:// (http:// is for this machine alone)")
        if value and (not url.hostname or url.username or url.path.strip("/") or url.query):
            raise ValueError("must be an address without a path, as in https://s3.eu-central-003.backblazeb2.com")
        return value.rstrip("/")

    @field_validator("cloud_prefix", "replica_prefix")
    @classmethod
    def _folder(cls, value: str) -> str:
        folder = value.strip("/")
        if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", folder) or len(folder) > _KEY_BYTES // 8:
            raise ValueError("must be a folder in the bucket, of letters, digits, dots, dashes and slashes")
        return folder

    @model_validator(mode="after")
    def _whole(self) -> "OffSiteSettings":
        """Refuse copies off site for which anything is missing, or that contradict one another."""
        if self.encryption_key.get_secret_value() and self.encryption_key_file:
            raise ValueError("BACKUP_ENCRYPTION_KEY and BACKUP_ENCRYPTION_KEY_FILE are both set; remove one")
        if not self.cloud_enabled:
            return self
        if self.cloud_provider is None:
            raise ValueError("BACKUP_CLOUD_ENABLED is true, but BACKUP_CLOUD_PROVIDER does not say backblaze, aws or gcs")
        if not self.encryption_enabled:
            raise ValueError("BACKUP_ENCRYPTION_ENABLED is false, but nothing leaves this host unencrypted; set it to true")
        if self.encryption_method == "openssl" and not (self.encryption_key.get_secret_value() or self.encryption_key_file):
            raise ValueError("BACKUP_CLOUD_ENABLED is true, but there is no BACKUP_ENCRYPTION_KEY_FILE (nor BACKUP_ENCRYPTION_KEY)")
        if self.encryption_method == "age" and not self.age_recipients:
            raise ValueError("BACKUP_ENCRYPTION_METHOD is age, but BACKUP_AGE_RECIPIENTS names no public key")
        one, *others = self.buckets
        if any((one.endpoint_url, one.bucket, one.prefix) == (other.endpoint_url, other.bucket, other.prefix) for other in others):
            raise ValueError("BACKUP_REPLICA_BUCKET_NAME is the bucket that copies go to already; a replica needs another one")
        return self

    def _cloud(self) -> BucketSettings:
        assert self.cloud_provider is not None
        bucket, key_id, key = CREDENTIALS[self.cloud_provider]
        said = self.provider_variables
        return _bucket(
            "cloud",
            self.cloud_provider,
            {bucket: said.get(bucket, ""), key_id: said.get(key_id, ""), key: said.get(key, "")},
            (AWS_REGION if self.cloud_provider == "aws" else "", said.get(AWS_REGION, "") if self.cloud_provider == "aws" else ""),
            ("BACKUP_CLOUD_ENDPOINT_URL", self.cloud_endpoint_url),
            (self.cloud_prefix, self.cloud_storage_class),
            may_delete=self.cloud_expiry == "pgkeeper",
        )

    def _replica(self) -> BucketSettings:
        assert self.replica_provider is not None
        return _bucket(
            "replica",
            self.replica_provider,
            {
                "BACKUP_REPLICA_BUCKET_NAME": self.replica_bucket_name,
                "BACKUP_REPLICA_KEY_ID": self.replica_key_id.get_secret_value(),
                "BACKUP_REPLICA_KEY": self.replica_key.get_secret_value(),
            },
            ("BACKUP_REPLICA_REGION", self.replica_region),
            ("BACKUP_REPLICA_ENDPOINT_URL", self.replica_endpoint_url),
            (self.replica_prefix, self.replica_storage_class),
            may_delete=self.cloud_expiry == "pgkeeper",
        )


def _bucket(
    store: OffSite,
    provider: Provider,
    credentials: Mapping[str, str],
    region: tuple[str, str],
    endpoint: tuple[str, str],
    place: tuple[str, str],
    *,
    may_delete: bool,
) -> BucketSettings:
    """Return a bucket; `credentials` are the variables of its name, key id and key, the others come with their variable's name."""
    (bucket_name, bucket), (id_name, key_id), (key_name, key) = credentials.items()
    if not bucket:
        raise ValueError(f"{bucket_name} does not say which bucket of {provider} the copies go to")
    missing = [name for name, value in ((id_name, key_id), (key_name, key)) if not value]
    # On Amazon's own machines a role can stand for keys.
    if missing and not (provider == "aws" and len(missing) == 2):
        raise ValueError(f"{' and '.join(missing)} must be set for copies in bucket {bucket}")
    url = endpoint[1] or (_GOOGLE if provider == "gcs" else "")
    if provider == "backblaze" and not url:
        raise ValueError(f"{endpoint[0]} must be the endpoint that Backblaze shows beside the bucket, https://s3.….backblazeb2.com")
    if provider == "aws" and not region[1] and not url:
        raise ValueError(f"{region[0]} must be the region of bucket {bucket}, as in eu-central-1")
    return BucketSettings(
        store=store,
        provider=provider,
        bucket=bucket,
        region=region[1] or _region_in(url),
        endpoint_url=url,
        prefix=place[0],
        storage_class=place[1],
        may_delete=may_delete,
        key_id=SecretStr(key_id),
        key=SecretStr(key),
    )


def _region_in(url: str) -> str:
    """Return the region that stands in an address like s3.us-west-004.backblazeb2.com, which requests are signed for."""
    found = re.search(r"//s3[.-]([a-z0-9-]+)\.(?:backblazeb2|amazonaws)\.com$", url)
    return found[1] if found else "auto" if url == _GOOGLE else "us-east-1"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
