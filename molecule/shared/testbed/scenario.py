"""All hosts of a scenario: made from its description, and taken away without a trace."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

from testbed import control_groups, images, machines, network, outfit
from testbed.commands import HostsFailed
from testbed.places import STATE, Place, alone
from testbed.platforms import Login, Platform
from testbed.requirements import missing


def create(place: Place, platforms: list[Platform]) -> list[dict[str, object]]:
    """Make and start the hosts; return how Ansible reaches each, in the words of molecule's instance configuration."""
    lacking = missing()
    if lacking:
        raise HostsFailed("; ".join(lacking))
    destroy(place)
    outfit.prepare_scenario(place)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda platform: images.unpack(platform, place.root(platform.name)), platforms))
    addresses = network.connect(place, platforms)
    known = [outfit.prepare_host(place, platform, address) for platform, address in zip(platforms, addresses, strict=True)]
    outfit.write(place.known_hosts, "".join(known), 0o600)
    for platform in platforms:
        machines.start(place, platform)
    for platform, address in zip(platforms, addresses, strict=True):
        machines.wait_for_ssh(place, platform, address, _user(platform))
    return [instance(place, platform, address) for platform, address in zip(platforms, addresses, strict=True)]


def destroy(place: Place) -> None:
    """Remove what a run of this scenario made, whether it ended or was interrupted. Images stay."""
    roots = place.directory / "roots"
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda root: machines.end(place, root.name), roots.iterdir() if roots.exists() else []))
    control_groups.end(f"{place.namespace_prefix}*")
    network.disconnect(place)
    if place.directory.exists():
        shutil.rmtree(place.directory)
    with alone("network"):
        if STATE.exists() and not any(entry.is_dir() for entry in STATE.iterdir()):
            network.stop_forwarding()
            STATE.rmdir()


def cut_power(place: Place, platforms: list[Platform], name: str) -> None:
    """End a host amid all that it is doing, and start it again; its files, address and keys are as they were."""
    platform = next((platform for platform in platforms if platform.name == name), None)
    if platform is None:
        raise HostsFailed(f"this scenario has no host {name}")
    machines.end(place, name)
    machines.start(place, platform)


def lose(place: Place, name: str) -> None:
    """End a host and remove all its files. Nothing of it can be had back, as after a fire; its address stays without anybody."""
    root = place.root(name)
    if not root.exists():
        raise HostsFailed(f"this scenario has no host {name}")
    machines.end(place, name)
    shutil.rmtree(root)


def instance(place: Place, platform: Platform, address: str) -> dict[str, object]:
    """Return how Ansible reaches a host."""
    found: dict[str, object] = {
        "instance": platform.name,
        "address": address,
        "port": 22,
        "user": _user(platform),
        "identity_file": str(place.key),
    }
    if platform.login is Login.SUDO:
        found["become_method"] = "ansible.builtin.sudo"
    elif platform.login is Login.SU:
        found["become_method"] = "ansible.builtin.su"
        found["become_pass"] = f"{{{{ lookup('ansible.builtin.file', '{place.root_password}') }}}}"
    return found


def _user(platform: Platform) -> str:
    return "root" if platform.login is Login.ROOT else outfit.USER
