#!/usr/bin/env python3
"""Gather on the controller the wheels that a release needs on a host which reaches no package index.

Arguments: the checkout, and the host's interpreter as JSON, which files/probe_host.py found: `version` ("3.13.5"), `machine` ("x86_64") and
`glibc` ("2.41"). Prints the path of a tar file of wheels, kept in the user's cache for the next host of that kind. The hashes of
runtime.lock hold for every wheel; nothing is built.

pip resolves for another interpreter than its own only in part: it takes wheels for it, but would still read environment markers as its own.
So the lock is narrowed to the host before pip sees it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from packaging.requirements import Requirement

KEEP_SECONDS = 90 * 24 * 3600
# PEP 600: the names from before manylinux_x_y, and the glibc each stands for.
LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


class Interpreter(TypedDict):
    """A host's Python, and what wheels have to fit to."""

    version: str
    machine: str
    glibc: str


def markers(interpreter: Interpreter) -> dict[str, str]:
    """The environment of that interpreter, as PEP 508 names it."""
    version = interpreter["version"]
    return {
        "implementation_name": "cpython",
        "implementation_version": version,
        "os_name": "posix",
        "platform_machine": interpreter["machine"],
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": "linux",
    }


def platforms(interpreter: Interpreter) -> Iterator[str]:
    """The platforms whose wheels run there, the newest glibc first (PEP 600)."""
    machine = interpreter["machine"]
    for minor in range(int(interpreter["glibc"].split(".")[1]), 4, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in LEGACY_MANYLINUX:
            yield f"{LEGACY_MANYLINUX[minor]}_{machine}"
    yield f"linux_{machine}"


def narrowed(lock: str, interpreter: Interpreter) -> str:
    """The lock's requirements that hold for that interpreter, without their markers, with their hashes."""
    environment = markers(interpreter)
    kept = []
    for line in lock.replace("\\\n", " ").splitlines():
        wanted, *hashes = line.partition(" #")[0].split(" --hash=")
        if not wanted.strip() or wanted.startswith("#"):
            continue
        requirement = Requirement(wanted)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            kept.append(" --hash=".join([str(requirement), *(each.strip() for each in hashes)]))
    return "\n".join(kept) + "\n"


def download(requirements: str, interpreter: Interpreter, directory: Path) -> None:
    """Let pip fetch the wheels. Raises CalledProcessError with its words, TimeoutExpired after half an hour."""
    wanted = directory / "requirements.txt"
    wanted.write_text(requirements, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={interpreter['version']}"]
    command += [f"--platform={name}" for name in platforms(interpreter)]
    command += [f"--dest={directory}", f"--requirement={wanted}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=1800)


def gather(lock: str, interpreter: Interpreter, cache: Path) -> Path:
    """Return the tar file of that lock's wheels for that interpreter, making it where it is not there yet."""
    key = hashlib.sha256(json.dumps([lock, interpreter], sort_keys=True).encode()).hexdigest()[:16]
    wheels = cache / f"{key}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as held:
        # Hosts of a kind are deployed side by side, and one of them is enough to fetch.
        fcntl.flock(held, fcntl.LOCK_EX)
        if not wheels.exists():
            with tempfile.TemporaryDirectory(dir=cache) as place:
                download(narrowed(lock, interpreter), interpreter, Path(place))
                made = Path(place) / "wheels.tar"
                with tarfile.open(made, "w") as archive:
                    for wheel in sorted(Path(place).glob("*.whl")):
                        archive.add(wheel, wheel.name)
                made.rename(wheels)
        os.utime(wheels)
        forget(cache)
    return wheels


def forget(cache: Path) -> None:
    """Remove wheels that no host has asked for in three months."""
    for wheels in cache.glob("*.tar"):
        if time.time() - wheels.stat().st_mtime > KEEP_SECONDS:
            wheels.unlink()


def main() -> int:
    """Print where the wheels are, or one line about why there are none."""
    checkout, interpreter = Path(sys.argv[1]), json.loads(sys.argv[2])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgkeeper" / "wheels"
    try:
        wheels = gather((checkout / "requirements" / "runtime.lock").read_text(encoding="utf-8"), interpreter, cache)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"the wheels could not be fetched: {' '.join(error.stderr.split())}\n")
        return 1
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"the wheels could not be fetched: {error}\n")
        return 1
    sys.stdout.write(f"{wheels}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
