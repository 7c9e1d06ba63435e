"""Object storage of the benchmark's own, in a process of its own, and what leads pgkeeper and boto3 there."""

from __future__ import annotations

import http.client
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from .certificate import Certificate
from .errors import BenchmarkError
from .user import as_postgres

_SERVER = Path(__file__).with_name("storage_server.py")
KEY_ID, KEY = "benchmark", "benchmark"  # The server looks at no signature.
ENCRYPTION_KEY = "a key for data that anyone can generate again"


class Storage:
    """A running server, as a context manager."""

    def __init__(self, python: Path, line: float | None = None, certificate: Certificate | None = None) -> None:
        """`python` runs the server, and has boto3; `line`: how many bytes a second reach it at most; with a `certificate` it speaks TLS."""
        self._options = [] if line is None else ["--line", str(line)]
        if certificate is not None:
            self._options += ["--certificate", str(certificate.file), "--key", str(certificate.key)]
        # Without our own folder among what can be imported.
        self.python = (str(python), "-P")
        self._numbers = count(1)
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """Its port on loopback."""
        return self._port

    @property
    def url(self) -> str:
        """Its address, where it speaks no TLS."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def boto3_environment(self) -> dict[str, str]:
        """What boto3 needs in its environment."""
        return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": KEY, "AWS_DEFAULT_REGION": "us-east-1"}

    def pgkeeper_environment(self, bucket: str) -> dict[str, str]:
        """Return settings that let pgkeeper copy into a bucket. A bucket that it does not know has nothing, as far as it knows."""
        return {
            "BACKUP_CLOUD_ENABLED": "true",
            "BACKUP_CLOUD_PROVIDER": "aws",
            "BACKUP_CLOUD_ENDPOINT_URL": self.url,
            "BACKUP_ENCRYPTION_KEY": ENCRYPTION_KEY,
            "AWS_S3_BUCKET": bucket,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": KEY,
        }

    def new_bucket(self) -> str:
        """Return a bucket that was never used."""
        return f"bucket-{next(self._numbers)}"

    def remove(self, bucket: str) -> None:
        """Forget all that is in a bucket."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("DELETE", f"/{bucket}")
        connection.getresponse().read()
        connection.close()

    def __enter__(self) -> Self:
        """Start the server."""
        self._process = subprocess.Popen(
            # Should we be killed, the kernel ends the server.
            ["setpriv", "--pdeathsig", "KILL", "--", *self.python, str(_SERVER), *self._options],
            **as_postgres(),
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline()
        if not port:
            self._stop()
            raise BenchmarkError(f"the object storage did not start; see what {self.python[0]} {_SERVER} says")
        self._port = int(port)
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None) -> None:
        """Stop the server, and with it goes all it holds."""
        self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@dataclass(frozen=True)
class Storages:
    """The same storage twice: on this machine, and behind a line as fast as most servers have."""

    near: Storage
    far: Storage
