"""Root file systems: made once for each release and list of packages, then unpacked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.commands import run
from testbed.places import IMAGES, alone
from testbed.platforms import Platform

# After that, security updates are worth the minute it takes.
SECONDS_TO_KEEP = 7 * 86400
# Debian gives a new cluster the first port that is free on this machine, and a PostgreSQL that runs here is none of the image's business.
PORT_HOOK = (
    'for file in "$1"/etc/postgresql/*/main/postgresql.conf; do '
    '[ ! -e "$file" ] || sed --in-place "s/^port = .*/port = 5432/" "$file"; done'
)
# Keys made while the packages were unpacked would be the same on every host.
KEYS_HOOK = 'rm --force "$1"/etc/ssh/ssh_host_*'


def arguments(platform: Platform) -> list[str]:
    """Return mmdebstrap's arguments, without the file it writes."""
    return [
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(platform.all_packages)}",
        f"--customize-hook={PORT_HOOK}",
        f"--customize-hook={KEYS_HOOK}",
        str(platform.release),
    ]


def cache_key(made_with: Sequence[str]) -> str:
    """Return what tells images apart: all that they are made with."""
    return hashlib.sha256("\0".join(made_with).encode()).hexdigest()[:12]


def unpack(platform: Platform, root: Path) -> None:
    """Unpack the root file system of such a host, which is made first if need be."""
    image = _image(platform)
    root.mkdir(mode=0o755, parents=True)
    run(["tar", "--extract", "--numeric-owner", f"--file={image}", f"--directory={root}"], seconds=300)


def is_fresh(image: Path, now: float) -> bool:
    """Return whether an image is there and young enough."""
    return image.exists() and now - image.stat().st_mtime < SECONDS_TO_KEEP


def _image(platform: Platform) -> Path:
    made_with = arguments(platform)
    key = cache_key(made_with)
    image = IMAGES / f"{platform.release}-{key}.tar"
    with alone(key):
        if not is_fresh(image, time.time()):
            unfinished = IMAGES / f".{key}.tar"
            run(["mmdebstrap", *made_with, str(unfinished)], seconds=900)
            unfinished.replace(image)
    _forget_old_ones()
    return image


def _forget_old_ones() -> None:
    for image in IMAGES.glob("*.tar"):
        if not is_fresh(image, time.time()):
            image.unlink(missing_ok=True)
