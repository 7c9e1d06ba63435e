"""Object storage on this machine: moto's server, in a process of its own."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from pgkeeper.off_site_settings import BucketSettings, Provider

from .ports import free_port
from .waiting import wait_until

_REGIONS: dict[Provider, str] = {"aws": "eu-central-1", "backblaze": "eu-central-003", "gcs": "auto"}
_numbers = count()
KEY_ID = "AKIAEXAMPLE"
KEY = "s3cret/of+the=owner"


@contextmanager
def object_storage() -> Iterator[str]:
    """Run the server for the length of the block and yield its address."""
    port = free_port()
    # Small pages and small parts, so that there are several of them without much ado.
    environment = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "7", "S3_UPLOAD_PART_MIN_SIZE": "1024"}
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: server.poll() is not None or _answers(port), "moto's server")
            assert server.poll() is None, "moto's server did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    try:
        _call(f"http://127.0.0.1:{port}", "GET", "/moto-api/data.json")
    except OSError:
        return False
    return True


def make_bucket(server: str, *, locked: bool = False) -> str:
    """Make a bucket with a name of its own and return its name. `locked`: objects in it can be locked."""
    name = f"bucket-{os.getpid()}-{next(_numbers)}"
    status = _call(server, "PUT", f"/{name}", {"x-amz-bucket-object-lock-enabled": "true"} if locked else {})
    assert status == 200, f"no bucket was made: {status}"
    return name


def bucket_settings(url: str, bucket: str, provider: Provider = "aws", **changes: Any) -> BucketSettings:  # noqa: ANN401
    """Settings of a bucket at a server."""
    values: dict[str, Any] = {
        "store": "cloud",
        "provider": provider,
        "bucket": bucket,
        "region": _REGIONS[provider],
        "endpoint_url": url,
        "prefix": "pgkeeper",
        "storage_class": "",
        "may_delete": True,
        "key_id": SecretStr(KEY_ID),
        "key": SecretStr(KEY),
    }
    return BucketSettings(**{**values, **changes})


def _call(server: str, method: str, path: str, headers: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        return connection.getresponse().status
    finally:
        connection.close()
