"""The test hosts: what a description means, and that nothing of one scenario is taken for another's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import nullcontext
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from testbed import control_groups, images, machines, network, outfit, places, requirements, scenario
from testbed.commands import HostsFailed, run
from testbed.places import Place
from testbed.platforms import Login, Platform, Release, read_platforms

LONGEST_INTERFACE_NAME = 15
PLACE = Place(Path("/checkout/molecule/default"))


def described(**entry: object) -> Platform:
    return read_platforms(json.dumps([{"name": "db1", "release": "bookworm", **entry}]))[0]


def test_a_host_is_reached_through_sudo_and_is_online_unless_told_otherwise() -> None:
    assert described() == Platform("db1", Release.BOOKWORM, (), Login.SUDO, online=True)


def test_sudo_is_there_where_it_is_needed_and_nowhere_else() -> None:
    assert "sudo" in described().all_packages
    assert "sudo" not in described(login="su").all_packages
    assert "sudo" not in described(login="root").all_packages


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"release": "jessie"}, "release must be one of bookworm, trixie"),
        ({"login": "doas"}, "login must be one of sudo, su, root"),
        ({"packages": "postgresql"}, "packages must be a list"),
        ({"packages": ["--hook=x"]}, "packages must be a list"),
        ({"online": "no"}, "online must be true or false"),
        ({"name": "../db"}, "a host's name is made of"),
        ({"package": ["x"]}, "package is unknown"),
    ],
)
def test_a_wrong_description_is_said_in_one_line(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(HostsFailed, match=said) as caught:
        described(**entry)
    assert "\n" not in str(caught.value)


def test_two_hosts_never_have_one_name() -> None:
    entry = {"name": "db1", "release": "trixie"}
    with pytest.raises(HostsFailed, match="same name"):
        read_platforms(json.dumps([entry, entry]))


def test_images_are_told_apart_by_release_and_packages_but_not_by_their_order() -> None:
    def key(**entry: object) -> str:
        return images.cache_key(images.arguments(described(**entry)))

    assert key(packages=["cron", "acl"]) == key(packages=["acl", "cron"], name="db2", online=False)
    assert len({key(), key(release="trixie"), key(packages=["cron"]), key(login="root")}) == 4


def test_an_image_is_made_again_after_a_week(tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    assert not images.is_fresh(image, time.time())
    image.touch()
    assert images.is_fresh(image, time.time())
    assert not images.is_fresh(image, time.time() + 8 * 86400)


def test_scenarios_and_checkouts_share_no_names() -> None:
    others = [Place(Path("/checkout/molecule/clean")), Place(Path("/elsewhere/molecule/default"))]
    for other in others:
        assert {PLACE.directory, PLACE.bridge, PLACE.table, PLACE.namespace("db1")}.isdisjoint(
            {other.directory, other.bridge, other.table, other.namespace("db1")}
        )


def test_interfaces_have_names_that_the_kernel_takes() -> None:
    assert len(PLACE.port(250)) <= LONGEST_INTERFACE_NAME


def test_a_network_is_one_in_which_the_machine_has_no_address() -> None:
    assert network.first_free(["127.0.0.1", "10.77.0.1", "10.77.1.1", "10.7.2.1"]).range == "10.77.2.0/24"
    with pytest.raises(HostsFailed, match="in use here"):
        network.first_free(f"10.77.{number}.1" for number in range(256))


def test_only_what_leaves_the_network_is_masqueraded() -> None:
    assert "ip saddr 10.77.3.0/24 ip daddr != 10.77.3.0/24 masquerade" in network.rules(PLACE, network.Network(3))


def test_a_resolver_on_this_machines_loopback_is_no_use_to_a_host() -> None:
    uplink = "nameserver 192.0.2.53\n"
    assert outfit.name_servers("nameserver 127.0.0.53\n", uplink) == uplink
    assert outfit.name_servers("nameserver 198.51.100.1\n", uplink) == "nameserver 198.51.100.1\n"


def test_a_host_gets_of_pips_settings_what_leads_to_the_index() -> None:
    listed = ":env:.cert='/first.pem'\nglobal.cert='/second.pem'\nglobal.find-links='/srv/wheels'\nglobal.index-url='https://pypi.example.com/simple'"
    options = outfit.pip_options(listed)
    assert options["cert"] == "/first.pem"
    assert outfit.pip_conf(options, bundle=True) == (f"[global]\nindex-url = https://pypi.example.com/simple\ncert = {outfit.BUNDLE}\n")
    assert outfit.pip_conf(outfit.pip_options("global.find-links='/srv/wheels'"), bundle=False) == ""


def test_a_secret_file_is_closed_from_the_start_and_replaces_a_link(tmp_path: Path) -> None:
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "link"
    elsewhere.write_text("untouched")
    link.symlink_to(elsewhere)
    outfit.write(link, "secret", 0o600)
    assert (link.stat().st_mode & 0o777, link.is_symlink(), elsewhere.read_text()) == (0o600, False, "untouched")


def test_sudo_lets_deploy_become_root_and_postgres_alone() -> None:
    assert outfit.SUDOERS == "deploy ALL=(root,postgres) NOPASSWD: ALL\n"


def test_ansible_is_told_how_to_become_root_and_never_the_password_itself() -> None:
    su = scenario.instance(PLACE, described(login="su"), "10.77.0.11")
    assert (su["user"], su["become_method"]) == ("deploy", "ansible.builtin.su")
    assert su["become_pass"] == f"{{{{ lookup('ansible.builtin.file', '{PLACE.root_password}') }}}}"
    root = scenario.instance(PLACE, described(login="root"), "10.77.0.11")
    assert (root["user"], "become_method" in root) == ("root", False)


def test_a_host_keeps_its_name_apart_and_runs_on_its_own_files() -> None:
    command = machines.nspawn(PLACE, described())
    assert f"--directory={PLACE.root('db1')}" in command
    assert f"--network-namespace-path=/run/netns/{PLACE.namespace('db1')}" in command


def test_only_the_process_of_that_root_file_system_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {
        1: "/usr/bin/systemd-nspawn --quiet --directory=/roots/db1",
        2: "systemd-nspawn --quiet --directory=/roots/db10",
        3: "tail --directory=/roots/db1",
        4: "sh -c … -- systemd-nspawn --directory=/roots/db1",
    }
    for number, line in lines.items():
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_bytes(line.replace(" ", "\0").encode() + b"\0")
    monkeypatch.setattr(machines, "PROC", tmp_path)
    assert sorted(machines.processes(Path("/roots/db1"))) == [1, 4]


@pytest.mark.parametrize("ends", [True, False])
def test_whether_a_host_has_ended_counts_and_not_what_killing_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
    def fail(_command: list[str]) -> str:
        raise HostsFailed("Failed to send signal SIGKILL to auxiliary processes")

    states = chain(["active"], repeat("inactive" if ends else "active"))
    for name, value in {"run": fail, "PROC": tmp_path, "EXPORTS": tmp_path, "SECONDS_TO_END": 0}.items():
        monkeypatch.setattr(machines, name, value)
    monkeypatch.setattr(control_groups, "end", lambda _pattern: None)
    monkeypatch.setattr(machines, "_state", lambda _service: next(states))
    with nullcontext() if ends else pytest.raises(HostsFailed, match="cannot be ended"):
        machines.end(PLACE, "db1")


def test_a_host_that_is_lost_leaves_no_file_and_the_others_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "STATE", tmp_path)
    ended: list[str] = []
    monkeypatch.setattr(machines, "end", lambda _place, name: ended.append(name))
    for name in ("db1", "db2"):
        (PLACE.root(name) / "var").mkdir(parents=True)
    scenario.lose(PLACE, "db1")
    assert ended == ["db1"]
    assert (PLACE.root("db1").exists(), PLACE.root("db2").exists()) == (False, True)
    with pytest.raises(HostsFailed, match="no host db1"):
        scenario.lose(PLACE, "db1")


def test_systemds_groups_are_found_among_all_that_is_mounted() -> None:
    mounts = (
        "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n"
        "cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n"
        "proc /proc proc rw 0 0\n"
    )
    assert control_groups.hierarchies(mounts) == [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")]


def test_all_that_is_in_a_hosts_groups_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text(f"cgroup2 {tmp_path}/unified cgroup2 rw 0 0\n")
    monkeypatch.setattr(control_groups, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(control_groups, "SECONDS_TO_EMPTY", 0)
    group = tmp_path / "unified/pgkeeper-1-db1/payload/init.scope"
    group.mkdir(parents=True)
    with subprocess.Popen(["sleep", "600"]) as init, subprocess.Popen(["sleep", "600"]) as other:
        # No group but a folder of that shape, so that this needs no root; what it cannot do is to become empty.
        (group / "cgroup.procs").write_text(f"0\n1\n{init.pid}\n")
        with pytest.raises(HostsFailed, match="still has processes"):
            control_groups.end("pgkeeper-1-*")
        assert init.wait(timeout=60) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


def test_what_a_machine_lacks_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert requirements.missing() == ["test hosts need root, as only root can start them: run it as root or through sudo"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program: None if program in {"nft", "mmdebstrap"} else program)
    assert requirements.missing() == ["test hosts need Debian packages that are missing: apt install mmdebstrap nftables"]


def test_a_command_that_fails_says_its_last_line() -> None:
    with pytest.raises(HostsFailed, match=r"failed: no room$"):
        run(["sh", "-c", "echo first >&2; echo no room >&2; exit 3"])
    with pytest.raises(HostsFailed, match="did not end"):
        run(["sleep", "60"], seconds=0.1)
