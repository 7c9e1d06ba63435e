"""A pgkeeper whose backups are copied into a bucket."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .object_storage import KEY, KEY_ID
from .product import Pgkeeper
from .user import service_ids

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ENCRYPTION_KEY = "Zq3vX9kL0pWm7RtYb2Nc5HsJd8Gf1Ae4UoQiBxTzMw="


def set_up(pgkeeper: Pgkeeper, server: str, bucket: str, **more: str) -> None:
    """Let `pgkeeper` copy what it backs up into `bucket` at `server`."""
    pgkeeper.configure(
        BACKUP_CLOUD_ENABLED="true",
        BACKUP_CLOUD_PROVIDER="backblaze",
        BACKUP_CLOUD_ENDPOINT_URL=server,
        BACKBLAZE_BUCKET_NAME=bucket,
        BACKBLAZE_KEY_ID=KEY_ID,
        BACKBLAZE_APPLICATION_KEY=KEY,
        BACKUP_ENCRYPTION_KEY=ENCRYPTION_KEY,
        **more,
    )


def another_host(pgkeeper: Pgkeeper, server: str, bucket: str, name: str, **more: str) -> Pgkeeper:
    """Another host, called `name`, on the same PostgreSQL: it has nothing but bucket and key."""
    other = Pgkeeper(pgkeeper.cluster, pgkeeper.home.parent / f"{pgkeeper.home.name[:3]}-{name}")
    (other.state / "host-identity").write_text(f"{name}\n")
    set_up(other, server, bucket, **more)
    return other


def identity(keeper: Pgkeeper) -> str:
    """The name under which a host's copies lie."""
    return (keeper.state / "host-identity").read_text().strip()


class BucketInside:
    """What somebody with the provider's console sees of a bucket, and does to it."""

    def __init__(self, server: str, bucket: str) -> None:
        import boto3

        self.bucket = bucket
        self.client: S3Client = boto3.client(
            "s3", endpoint_url=server, aws_access_key_id=KEY_ID, aws_secret_access_key=KEY, region_name="us-east-1"
        )

    def objects(self) -> dict[str, bytes]:
        """All objects with their content."""
        found: dict[str, bytes] = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for one in page.get("Contents", ()):
                found[one["Key"]] = self.client.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read()
        return found

    def listing(self) -> dict[str, tuple[int, datetime]]:
        """Size and time of all objects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {one["Key"]: (one["Size"], one["LastModified"]) for page in pages for one in page.get("Contents", ())}

    def named(self, ending: str = "") -> list[str]:
        """The keys of objects whose names end so."""
        return sorted(key for key in self.objects() if key.endswith(ending))

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def set_back(self, objects: dict[str, bytes]) -> None:
        """Let the bucket hold exactly those objects."""
        for key in self.objects():
            if key not in objects:
                self.delete(key)
        for key, content in objects.items():
            self.put(key, content)

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Let there be no such bucket for the length of the block."""
        objects = self.objects()
        self.set_back({})
        self.client.delete_bucket(Bucket=self.bucket)
        try:
            yield
        finally:
            self.client.create_bucket(Bucket=self.bucket)
            self.set_back(objects)

    def unfinished(self) -> list[Any]:
        """Uploads that were begun and not ended."""
        return list(self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))


def openssl(arguments: list[str], source: Path, target: Path) -> None:
    """Call openssl as the strategy does."""
    command = ["openssl", "enc", *arguments, "-in", str(source), "-out", str(target), "-pass", "env:BACKUP_ENCRYPTION_KEY"]
    subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", "BACKUP_ENCRYPTION_KEY": ENCRYPTION_KEY}, timeout=60)


def identity_file(directory: Path) -> tuple[str, Path]:
    """A new pair of keys of age: the public one, and the file of the private one, the service user's own."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    path = directory / "identity.txt"
    path.write_text(f"# made by a test\n{identity}\n")
    path.chmod(0o600)
    shutil.chown(path, *service_ids())
    return str(identity.to_public()), path
