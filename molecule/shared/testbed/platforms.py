"""What a scenario's molecule.yml says of a host."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

from testbed.commands import HostsFailed

# What Ansible needs to get in, and systemd to be in charge. All else is the scenario's choice.
BASE_PACKAGES = ("ca-certificates", "dbus", "iproute2", "openssh-server", "python3", "systemd", "systemd-sysv")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")
FOR_MOLECULE = {"groups", "children"}

Choice = TypeVar("Choice", bound=StrEnum)


class Release(StrEnum):
    """A Debian release by its code name."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"


class Login(StrEnum):
    """How Ansible gets in, and from there to root."""

    SUDO = "sudo"  # user deploy, whom sudo lets become root and postgres, nobody else
    SU = "su"  # user deploy, who knows root's password
    ROOT = "root"


@dataclass(frozen=True)
class Platform:
    """One host, as a scenario describes it."""

    name: str
    release: Release
    packages: tuple[str, ...] = ()
    login: Login = Login.SUDO
    online: bool = True

    @property
    def all_packages(self) -> tuple[str, ...]:
        """Everything that is in the root file system besides what Debian always has."""
        needed = {"sudo"} if self.login is Login.SUDO else set()
        return tuple(sorted({*BASE_PACKAGES, *self.packages, *needed}))


def read_platforms(text: str) -> list[Platform]:
    """Read the platforms of a molecule.yml, given as JSON."""
    platforms = [_platform(entry) for entry in json.loads(text)]
    names = [platform.name for platform in platforms]
    if len(set(names)) < len(names):
        raise HostsFailed(f"two platforms have the same name: {', '.join(names)}")
    return platforms


def _platform(entry: dict[str, object]) -> Platform:
    name = str(entry.get("name"))
    unknown = set(entry) - {field.name for field in fields(Platform)} - FOR_MOLECULE
    if unknown:
        raise HostsFailed(f"platform {name}: {', '.join(sorted(unknown))} is unknown; molecule/shared/README.md lists what there is")
    if not NAME.fullmatch(name):
        raise HostsFailed(f"platform {name}: a host's name is made of a-z, 0-9 and -")
    packages = entry.get("packages", [])
    if not isinstance(packages, list) or not all(isinstance(package, str) and PACKAGE.fullmatch(package) for package in packages):
        raise HostsFailed(f"platform {name}: packages must be a list of Debian packages")
    online = entry.get("online", True)
    if not isinstance(online, bool):
        raise HostsFailed(f"platform {name}: online must be true or false")
    return Platform(
        name=name,
        release=_choice(Release, name, "release", entry.get("release")),
        packages=tuple(packages),
        login=_choice(Login, name, "login", entry.get("login", Login.SUDO)),
        online=online,
    )


def _choice(kind: type[Choice], name: str, key: str, value: object) -> Choice:
    try:
        return kind(str(value))
    except ValueError:
        raise HostsFailed(f"platform {name}: {key} must be one of {', '.join(kind)}") from None
