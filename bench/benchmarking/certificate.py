"""A certificate for this machine, as pgBackRest speaks to object storage over TLS alone."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import BenchmarkError
from .user import give_to_postgres

HOST = "localhost"


@dataclass(frozen=True)
class Certificate:
    """A certificate for `localhost`, which is its own authority, and its key."""

    file: Path
    key: Path


def make_certificate(place: Path) -> Certificate:
    """Make a certificate in a directory; both files are postgres's. Raises BenchmarkError with openssl's words."""
    made = Certificate(place / "certificate.pem", place / "key.pem")
    new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    done = subprocess.run(
        ["openssl", "req", *new, *named, "-keyout", str(made.key), "-out", str(made.file)],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"openssl req failed: {done.stderr.strip()}")
    for path in (made.file, made.key):
        give_to_postgres(path, 0o600)
    return made
