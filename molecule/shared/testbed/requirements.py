"""What a machine needs to have such hosts, and which of it is missing."""

from __future__ import annotations

import os
import shutil

from testbed.commands import HostsFailed, run

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}


def missing() -> list[str]:
    """Return what is missing here, a line each."""
    if os.geteuid() != 0:
        return ["test hosts need root, as only root can start them: run it as root or through sudo"]
    packages = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if packages:
        return [f"test hosts need Debian packages that are missing: apt install {' '.join(packages)}"]
    try:
        run(["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "true"])
    except HostsFailed as error:
        line = "test hosts need namespaces, which this machine does not let root make: take one that does"
        return [f"{line} ({error})"]
    return []
