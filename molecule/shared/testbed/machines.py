"""Start and stop hosts. Each is a systemd of its own under systemd-nspawn, and goes on when whoever started it is gone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from testbed import control_groups
from testbed.commands import HostsFailed, last_line, run
from testbed.places import Place
from testbed.platforms import Platform

SECONDS_TO_START = 120
# A process that is about to become another program shows no command line for a moment.
SECONDS_UNSEEN = 3
# systemd itself gives a service that it believes to be alive up to a minute and a half.
SECONDS_TO_END = 120
PROC = Path("/proc")
# Newer versions of systemd-nspawn mount something here for each machine, leave it when they are killed, and then refuse to start it again.
EXPORTS = Path("/run/systemd/nspawn/unix-export")
# What a service of systemd is that has no processes any more.
ENDED = ("inactive", "failed")


def nspawn(place: Place, platform: Platform) -> list[str]:
    """Return the command that is a host."""
    return [
        "systemd-nspawn",
        "--quiet",
        f"--directory={place.root(platform.name)}",
        f"--machine={place.machine(platform.name)}",
        f"--hostname={platform.name}",
        f"--network-namespace-path=/run/netns/{place.namespace(platform.name)}",
        "--resolv-conf=off",
        "--link-journal=no",
        "--settings=no",
        "--register=no",
        "--keep-unit",
        "--capability=all",  # proofs make namespaces of their own, and so do hosts in a host
        "--boot",
    ]


def unit(place: Place, platform: Platform) -> list[str]:
    """Return what starts a command as a service of this machine's systemd, in a control group that is its own to divide."""
    name = f"{place.namespace(platform.name)}.service"
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        "--service-type=exec",  # returns when the host's program has begun, so that it is found from then on
        f"--unit={name}",
        "--property=Delegate=yes",
        "--property=KillMode=mixed",
        f"--property=StandardOutput=append:{place.log(platform.name)}",
        f"--property=StandardError=append:{place.log(platform.name)}",
    ]


def start(place: Place, platform: Platform) -> None:
    """Start a host, which then lives by itself."""
    command = nspawn(place, platform)
    if Path("/run/systemd/system").exists():
        run([*unit(place, platform), *command])
        return
    command = control_groups.entering(place.namespace(platform.name), command)
    with place.log(platform.name).open("wb") as log:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def wait_for_ssh(place: Place, platform: Platform, address: str, user: str) -> None:
    """Wait until a host lets Ansible in and has started everything."""
    ask = [*ssh(place), f"{user}@{address}", "systemctl is-system-running --wait || true"]
    deadline = time.monotonic() + SECONDS_TO_START
    error = HostsFailed("")
    while time.monotonic() < deadline:
        if not _within(SECONDS_UNSEEN, lambda: bool(processes(place.root(platform.name)))):
            raise HostsFailed(f"{platform.name} does not start: {_said(place.log(platform.name)) or 'it said nothing'}")
        try:
            run(ask, seconds=SECONDS_TO_START)
        except HostsFailed as failed:
            error = failed
            time.sleep(0.5)
        else:
            return
    raise HostsFailed(f"{platform.name} ({address}) did not answer within {SECONDS_TO_START} s: {error}")


def ssh(place: Place) -> list[str]:
    """Return the ssh command that knows this scenario's hosts and nobody else."""
    return ["ssh", "-i", str(place.key), *ssh_options(place), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]


def ssh_options(place: Place) -> list[str]:
    """Return what Ansible's ssh is told as well."""
    return [
        *("-F", "none"),
        *("-o", "IdentitiesOnly=yes"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", f"UserKnownHostsFile={place.known_hosts}"),
        *("-o", "ServerAliveInterval=5"),
    ]


def processes(root: Path) -> list[int]:
    """Return the processes that are the host of this root file system: one, or none."""
    wanted = f"--directory={root}".encode()
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and _is_host(entry, wanted)]


def end(place: Place, name: str) -> None:
    """End a host as a power cut does, and leave nothing of it that would keep it from starting.

    Nobody needs what an orderly shutdown would save, and a host that still boots does not hear the word for it. systemd-nspawn alone may
    not be killed: the host's init would go on without it.
    """
    root, service = place.root(name), f"{place.namespace(name)}.service"
    if _state(service) not in ENDED:
        # It fails over a process that has just gone by itself; what counts is whether all have.
        with suppress(HostsFailed):
            run(["systemctl", "kill", "--signal=KILL", service])
    control_groups.end(place.namespace(name))
    if not _within(SECONDS_TO_END, lambda: not processes(root) and _state(service) in ENDED):
        raise HostsFailed(f"the host in {root} cannot be ended: it is {_state(service)}, process {', '.join(map(str, processes(root)))}")
    if _state(service) == "failed":
        # Its systemd may forget it by itself, at any moment; until then nothing new can have its name.
        with suppress(HostsFailed):
            run(["systemctl", "reset-failed", service])
    export = EXPORTS / place.machine(name)
    if export.is_mount():
        run(["umount", str(export)])
    if export.exists():
        export.rmdir()


def _state(service: str) -> str:
    """How this machine's systemd, where there is one, has a service; one that it does not know is inactive."""
    if not Path("/run/systemd/system").exists():
        return "inactive"
    return run(["systemctl", "show", "--property=ActiveState", "--value", service]).strip()


def _said(log: Path) -> str:
    try:
        return last_line(log.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return ""


def _is_host(entry: Path, wanted: bytes) -> bool:
    try:
        arguments = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile
        return False
    # Also the shell that is about to become one.
    return wanted in arguments and any(argument.endswith(b"systemd-nspawn") for argument in arguments)


def _within(seconds: float, reached: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
