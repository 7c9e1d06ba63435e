"""What an owner sets for a bucket: the setting, and beside it the role's variable, since a deployment writes over the setting."""

from pgkeeper.off_site_settings import CREDENTIALS, BucketSettings


def credential_names(settings: BucketSettings) -> tuple[str, str, str]:
    """Return what the bucket's name, its key's id and its key are set by."""
    if settings.store == "replica":
        names = ("BACKUP_REPLICA_BUCKET_NAME", "BACKUP_REPLICA_KEY_ID", "BACKUP_REPLICA_KEY")
    else:
        names = CREDENTIALS[settings.provider]
    bucket, key_id, key = (_both(name, settings, part) for name, part in zip(names, ("bucket", "key_id", "key"), strict=True))
    return bucket, key_id, key


def address_name(settings: BucketSettings) -> str:
    """Return what the provider's address is set by."""
    if settings.endpoint_url:
        return _both(f"BACKUP_{settings.store.upper()}_ENDPOINT_URL", settings, "endpoint_url")
    return _both("BACKUP_REPLICA_REGION" if settings.store == "replica" else "AWS_REGION", settings, "region")


def storage_class_name(settings: BucketSettings) -> str:
    """Return what the storage class is set by."""
    return _both(f"BACKUP_{settings.store.upper()}_STORAGE_CLASS", settings, "storage_class")


def _both(setting: str, settings: BucketSettings, part: str) -> str:
    return f"{setting} (pgkeeper_{settings.store}_{part} where Ansible deploys)"
