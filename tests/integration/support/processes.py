"""Looking at processes, to find the one that belongs to a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def children_of(pid: int) -> list[tuple[int, str]]:
    """All descendants of a process, as (process id, program name)."""
    parents = {child: (parent, name) for child, parent, name in _all_processes()}
    found = []
    for child, (_, name) in parents.items():
        ancestor = child
        while ancestor in parents and ancestor != pid:
            ancestor = parents[ancestor][0]
        if ancestor == pid and child != pid:
            found.append((child, name))
    return found


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a memory of its exit status."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def processes_with_environment(variable: str, value: str) -> list[str]:
    """Command lines of the processes that were started with this environment variable."""
    wanted = f"{variable}={value}".encode()
    found = []
    for pid in _process_ids():
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and is_alive(pid):
                found.append(command_line(pid))
        except OSError:
            continue
    return found


def sandboxed_processes(directory: Path) -> list[int]:
    """Ids of the processes, of any user, that see something below `directory` from a sandbox, and of those that hold such a sandbox."""
    ours = Path("/proc/self/ns/mnt").readlink()
    # A mount is told by its path within its file system, and the temporary directory may be one of its own.
    seen = f"/{directory.parent.name}/{directory.name}/"
    found = []
    for pid in _process_ids():
        try:
            elsewhere = Path(f"/proc/{pid}/ns/mnt").readlink() != ours
            if seen in (Path(f"/proc/{pid}/mountinfo").read_text() if elsewhere else _sandbox_arguments(pid)) and is_alive(pid):
                found.append(pid)
        except OSError:
            continue
    return found


def processes_in(directory: Path) -> list[int]:
    """Ids of the processes, of any user, that work in `directory`."""
    found = []
    for pid in _process_ids():
        try:
            if Path(f"/proc/{pid}/cwd").samefile(directory) and is_alive(pid):
                found.append(pid)
        except OSError:
            continue
    return found


def _sandbox_arguments(pid: int) -> str:
    words = command_line(pid)
    return words if "bwrap" in words else ""


def command_line(pid: int) -> str:
    """A process's arguments, for reading."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def all_command_lines() -> Iterator[str]:
    """The arguments of every process on this machine, as anybody can read them."""
    for pid in _process_ids():
        yield command_line(pid)


def _process_ids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _all_processes() -> Iterator[tuple[int, int, str]]:
    for pid in _process_ids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        yield pid, int(rest.split()[1]), name
