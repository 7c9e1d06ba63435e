"""A certificate for this machine, as pgBackRest speaks to object storage over TLS alone."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import BenchmarkError
from .user import give_to_postgres

# Not "localhost": some hosts do not know the name, and where it leads to ::1 first pgBackRest 2.45 looks nowhere else.
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate for loopback, which is its own authority, and its key."""

    file: Path
    key: Path


def make_certificate(place: Path) -> Certificate:
    """Make a certificate in a directory; both files are postgres's. Raises BenchmarkError with openssl's words."""
    made = Certificate(place / "certificate.pem", place / "key.pem")
    new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    # pgBackRest finds an address in the common name alone, and there only when no other names are said.
    named = ["-subj", f"/CN={HOST}"]
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
