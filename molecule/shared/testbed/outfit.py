"""What a root file system gets before its host starts: who may log in, and how the world outside is reached."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

from testbed.commands import run
from testbed.places import Place
from testbed.platforms import Login, Platform

USER = "deploy"
SUDOERS = f"{USER} ALL=(root,postgres) NOPASSWD: ALL\n"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Of pip's settings here, those that say how a package index is reached; what names local files means nothing on a host.
PIP_OPTIONS = ("index-url", "proxy", "trusted-host")
UPLINK = Path("/run/systemd/resolve/resolv.conf")


def prepare_scenario(place: Place) -> None:
    """Make what the hosts of a scenario have in common."""
    place.directory.mkdir(mode=0o700, parents=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test hosts", "-f", str(place.key)])
    write(place.root_password, secrets.token_urlsafe(24) + "\n", 0o600)


def prepare_host(place: Place, platform: Platform, address: str) -> str:
    """Write into a host's root file system; return its line for known_hosts."""
    root = place.root(platform.name)
    write(root / "etc/hostname", f"{platform.name}\n")
    write(root / "etc/hosts", f"127.0.0.1 localhost\n{address} {platform.name}\n::1 localhost\n")
    if platform.online:
        _reach_the_world(root)
    _let_in(place, platform, root)
    return _host_key(root, address)


def name_servers(resolv_conf: str, uplink: str | None) -> str:
    """Return a host's resolv.conf: this machine's, or what a resolver on its loopback address asks itself."""
    servers = re.findall(r"^nameserver\s+(\S+)", resolv_conf, re.MULTILINE)
    local = servers and all(server.startswith("127.") or server == "::1" for server in servers)
    return uplink if local and uplink is not None else resolv_conf


def pip_options(listed: str) -> dict[str, str]:
    """Read pip's settings from `pip config list`; the environment's come first there, and win."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"^(?::env:|global)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE):
        found.setdefault(name, value)
    return found


def pip_conf(options: dict[str, str], *, bundle: bool) -> str:
    """Return a host's pip.conf, or nothing where pip needs none."""
    lines = [f"{name} = {options[name]}" for name in PIP_OPTIONS if name in options]
    if bundle:
        lines.append(f"cert = {BUNDLE}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a small file that has this mode from the start; in place of a link, not where it leads."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)


def _reach_the_world(root: Path) -> None:
    uplink = UPLINK.read_text(encoding="utf-8") if UPLINK.exists() else None
    write(root / "etc/resolv.conf", name_servers(Path("/etc/resolv.conf").read_text(encoding="utf-8"), uplink))
    options = pip_options(run([sys.executable, "-m", "pip", "config", "list"]))
    bundle = options.get("cert") or os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        write(root / BUNDLE.lstrip("/"), Path(bundle).read_text(encoding="utf-8"))
    settings = pip_conf(options, bundle=bool(bundle))
    if settings:
        write(root / "etc/pip.conf", settings)


def _let_in(place: Place, platform: Platform, root: Path) -> None:
    if platform.login is Login.ROOT:
        home, owner = root / "root", 0
    else:
        run(["chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", USER])
        home = root / "home" / USER
        owner = home.stat().st_uid
    if platform.login is Login.SUDO:
        write(root / "etc/sudoers.d" / USER, SUDOERS, 0o440)
    elif platform.login is Login.SU:
        password = place.root_password.read_text(encoding="ascii").strip()
        run(["chroot", str(root), "chpasswd"], given=f"root:{password}\n")
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    write(folder / "authorized_keys", place.key.with_suffix(".pub").read_text(encoding="ascii"), 0o600)
    for path in (folder, folder / "authorized_keys"):
        os.chown(path, owner, owner)


def _host_key(root: Path, address: str) -> str:
    key = root / "etc/ssh/ssh_host_ed25519_key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)])
    return f"{address} {key.with_suffix('.pub').read_text(encoding='ascii').strip()}\n"
