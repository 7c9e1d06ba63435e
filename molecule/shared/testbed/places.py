"""Names and paths of what belongs to one scenario. They are the same in every run, so the next finds what the last has left."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IMAGES = Path("/var/cache/pgkeeper-hosts")
STATE = Path("/var/lib/pgkeeper-hosts")


@dataclass(frozen=True)
class Place:
    """Where a scenario of a checkout keeps its hosts. Two checkouts, or two scenarios, never share one."""

    scenario: Path

    @property
    def mark(self) -> str:
        """Six characters that tell this scenario's things from those of others; interfaces have room for no more."""
        return hashlib.sha256(str(self.scenario).encode()).hexdigest()[:6]

    @property
    def directory(self) -> Path:
        """Everything of this scenario that is a file."""
        return STATE / f"{self.scenario.name}-{self.mark}"

    @property
    def key(self) -> Path:
        """The ssh key that all hosts of the scenario know."""
        return self.directory / "key"

    @property
    def known_hosts(self) -> Path:
        """The hosts' own keys, so that connections are as strict as anywhere."""
        return self.directory / "known_hosts"

    @property
    def root_password(self) -> Path:
        """Root's password on the hosts where deploy becomes root by su."""
        return self.directory / "root_password"

    def root(self, name: str) -> Path:
        """Return the root file system of a host."""
        return self.directory / "roots" / name

    def machine(self, name: str) -> str:
        """Return a host's name among all that systemd-nspawn runs on this machine."""
        return f"{self.mark}-{name}"

    def log(self, name: str) -> Path:
        """Return where a host's console goes."""
        return self.directory / f"{name}.log"

    @property
    def bridge(self) -> str:
        """The interface that all hosts are behind."""
        return f"pk{self.mark}"

    def port(self, number: int) -> str:
        """Return the bridge's end of a host's cable."""
        return f"{self.bridge}.{number}"

    @property
    def table(self) -> str:
        """The table of the packet filter that lets the hosts out."""
        return f"pgkeeper_{self.mark}"

    def namespace(self, name: str) -> str:
        """Return the network namespace of a host."""
        return f"{self.namespace_prefix}{name}"

    @property
    def namespace_prefix(self) -> str:
        """What the names of all its network namespaces begin with."""
        return f"pgkeeper-{self.mark}-"


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep other scenarios out meanwhile."""
    IMAGES.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (IMAGES / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
