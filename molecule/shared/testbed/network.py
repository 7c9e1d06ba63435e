"""The hosts' network: a bridge for the scenario, a namespace with one cable to it for each host, and a way out for those that have one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed.commands import HostsFailed, run
from testbed.places import STATE, Place, alone
from testbed.platforms import Platform

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
WAS_OFF = STATE / ".forwarding-was-off"
FIRST_HOST = 11


@dataclass(frozen=True)
class Network:
    """A network of 254 addresses."""

    number: int

    @property
    def range(self) -> str:
        """All of its addresses."""
        return f"10.77.{self.number}.0/24"

    @property
    def gateway(self) -> str:
        """This machine's own address in it."""
        return f"10.77.{self.number}.1"

    def address(self, number: int) -> str:
        """Return the address of a host."""
        return f"10.77.{self.number}.{FIRST_HOST + number}"


def first_free(taken: Iterable[str]) -> Network:
    """Choose a network in which this machine has no address yet."""
    used = {address.rpartition(".")[0] for address in taken}
    for number in range(256):
        if f"10.77.{number}" not in used:
            return Network(number)
    raise HostsFailed("all networks from 10.77.0.0 to 10.77.255.0 are in use here: destroy scenarios that are no longer needed")


def rules(place: Place, network: Network) -> str:
    """Return the packet filter's rules: what leaves the network does so under this machine's address."""
    return (
        f"table ip {place.table} {{\n"
        f"  chain out {{ type nat hook postrouting priority srcnat; ip saddr {network.range} ip daddr != {network.range} masquerade; }}\n"
        "}\n"
    )


def connect(place: Place, platforms: list[Platform]) -> list[str]:
    """Make the network, and return the address of each host."""
    with alone("network"):
        network = first_free(_addresses())
        run(["ip", "link", "add", place.bridge, "type", "bridge"])
        run(["ip", "address", "add", f"{network.gateway}/24", "dev", place.bridge])
        run(["ip", "link", "set", place.bridge, "up"])
        _allow_forwarding()
    run(["nft", "--file", "-"], given=rules(place, network))
    for number, platform in enumerate(platforms):
        _cable(place, network, number, platform)
    return [network.address(number) for number in range(len(platforms))]


def disconnect(place: Place) -> None:
    """Remove all of it, as far as it is there: links first, as a namespace takes its own along some time after it is gone."""
    for link in json.loads(run(["ip", "-json", "link", "show"])):
        if link["ifname"] == place.bridge or str(link["ifname"]).startswith(f"{place.bridge}."):
            run(["ip", "link", "delete", link["ifname"]])
    for namespace in json.loads(run(["ip", "-json", "netns", "list"]) or "[]"):
        if str(namespace["name"]).startswith(place.namespace_prefix):
            run(["ip", "netns", "delete", namespace["name"]])
    if f"table ip {place.table}" in run(["nft", "list", "tables"]).splitlines():
        run(["nft", "delete", "table", "ip", place.table])


def stop_forwarding() -> None:
    """Leave the machine as it was, once the last scenario is gone."""
    if WAS_OFF.exists():
        _set_forwarding("0")
        WAS_OFF.unlink()


def _addresses() -> list[str]:
    links = json.loads(run(["ip", "-json", "-4", "address", "show"]))
    return [str(address["local"]) for link in links for address in link["addr_info"]]


def _allow_forwarding() -> None:
    if FORWARDING.read_text(encoding="ascii").strip() == "1":
        return
    WAS_OFF.touch()
    _set_forwarding("1")


def _set_forwarding(value: str) -> None:
    try:
        FORWARDING.write_text(value, encoding="ascii")
    except OSError:
        # In a container /proc/sys is read-only, but this network is the container's own: another view of it may be written to.
        write = f"echo {value} >{FORWARDING}"
        try:
            run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", write])
        except HostsFailed as error:
            raise HostsFailed(f"test hosts need net.ipv4.ip_forward=1, which cannot be set here: {error}") from None


def _cable(place: Place, network: Network, number: int, platform: Platform) -> None:
    namespace, port = place.namespace(platform.name), place.port(number)
    run(["ip", "netns", "add", namespace])
    run(["ip", "link", "add", port, "type", "veth", "peer", "name", "host0", "netns", namespace])
    run(["ip", "link", "set", port, "master", place.bridge, "up"])
    inside = ["ip", "-netns", namespace]
    run([*inside, "address", "add", f"{network.address(number)}/24", "dev", "host0"])
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "link", "set", "host0", "up"])
    if platform.online:
        run([*inside, "route", "add", "default", "via", network.gateway])
