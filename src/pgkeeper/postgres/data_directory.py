"""A cluster's files, looked at and prepared while no server runs on them."""

import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgkeeper.host.durable import fsync_directory
from pgkeeper.host.processes import run_and_listen
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.timelines import history_name, way_to
from pgkeeper.model.wal import Segment, format_lsn, parse_lsn, timeline_of
from pgkeeper.postgres.programs import program

_SECONDS = 60
_SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
_CLEAN = frozenset({"shut down", "shut down in recovery"})


@dataclass(frozen=True)
class ControlFacts:
    """What pg_controldata says. `state` is its "Database cluster state"; `position` is that of the last checkpoint, on `timeline`."""

    system_identifier: str
    state: str
    timeline: int
    position: int
    segment_bytes: int

    @property
    def clean(self) -> bool:
        """Whether the server was shut down properly."""
        return self.state in _CLEAN


def control_facts(data: Path) -> ControlFacts:
    """Return what the control file of a data directory says. Raises OperationFailed when it can't be read, or is damaged."""
    facts = control_values(data)
    try:
        return ControlFacts(
            system_identifier=facts["Database system identifier"],
            state=facts["Database cluster state"],
            timeline=int(facts["Latest checkpoint's TimeLineID"]),
            position=parse_lsn(facts["Latest checkpoint location"]),
            segment_bytes=int(facts["Bytes per WAL segment"]),
        )
    except (KeyError, ValueError) as error:
        raise OperationFailed(f"the control file of {data} cannot be understood", str(error)) from error


def timeline_of_files(data: Path, system_identifier: str) -> int | None:
    """Return the timeline that a cluster's files were left on, None where they are another cluster's.

    A new timeline stands in the control file only from its first checkpoint on, but its log is there from the first byte. Raises
    OperationFailed when the control file can't be read.
    """
    facts = control_facts(data)
    if facts.system_identifier != system_identifier:
        return None
    written = [timeline_of(path.name) for path in (data / "pg_wal").glob("*") if _SEGMENT_NAME.fullmatch(path.name)]
    return max([facts.timeline, *written])


def system_identifier_in(data: Path) -> str | None:
    """Return whose files a data directory holds, by the first eight bytes of its control file (catalog/pg_control.h); None without one."""
    try:
        with (data / "global" / "pg_control").open("rb") as file:
            (number,) = struct.unpack("=Q", file.read(8))
    except (OSError, struct.error):
        return None
    return str(number)


def control_values(data: Path) -> dict[str, str]:
    """Return everything pg_controldata says of a data directory, by its own names. Raises OperationFailed as `control_facts` does."""
    said, warned = run_and_listen([program("pg_controldata", major_of(data)), "-D", data], {"LC_ALL": "C"}, timeout=_SECONDS)
    # It goes on with numbers that it warns of: before PostgreSQL 17 among them, since then on stderr.
    warning = next((words for words in (warned, said) if "warning:" in words.lower()), None)
    if warning is not None:
        raise OperationFailed(f"the control file of {data} is damaged", " ".join(warning.split("\n")[:2]))
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}


def major_of(data: Path) -> int:
    """Return the version of PostgreSQL a data directory belongs to. Raises OperationFailed when it is none."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise OperationFailed(f"{data} is no data directory of PostgreSQL", str(error)) from error


def tablespace_links(data: Path) -> dict[int, Path]:
    """Return where the tablespaces of a cluster lie, by OID; those inside the data directory itself are left out."""
    found = {}
    for link in sorted((data / "pg_tblspc").iterdir()):
        if link.is_symlink() and link.name.isdecimal():
            found[int(link.name)] = link.readlink()
    return found


def link_tablespaces(data: Path, locations: Mapping[int, Path]) -> None:
    """Let tablespaces of a cluster lie elsewhere; on return it is durable. Safe to do twice.

    A server that runs on it must find the same files there.
    """
    directory = data / "pg_tblspc"
    for oid, location in locations.items():
        temporary = directory / f".{oid}.new"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(location)
        temporary.rename(directory / str(oid))
    fsync_directory(directory)


def tablespace_version_directory(location: Path, major: int) -> Path | None:
    """Return the directory in a tablespace's location that holds the files of PostgreSQL `major`, None when there is none."""
    found = [path for path in location.glob(f"PG_{major}_*") if path.is_dir()]
    return found[0] if found else None


def is_running(data: Path) -> bool:
    """Tell whether a server runs on a data directory."""
    return server_pid(data) is not None


def server_pid(data: Path) -> int | None:
    """Return the process of the server that runs on a data directory, as postmaster.pid names it and if it is at work there, else None."""
    try:
        pid = abs(int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]))
        # A server's working directory is its data directory, wherever that was moved to.
        return pid if Path(f"/proc/{pid}/cwd").samefile(data) else None
    except (OSError, ValueError):
        return None


def forget_dead_server(data: Path) -> None:
    """Remove what a server left that was killed, by which pgBackRest would take it for one that runs. The caller knows that none does."""
    (data / "postmaster.pid").unlink(missing_ok=True)


def waiting_for_archive(data: Path) -> list[str]:
    """Return which files of the log are ended, and not archived yet."""
    return sorted(path.name.removesuffix(".ready") for path in (data / "pg_wal" / "archive_status").glob("*.ready"))


def began_at(data: Path, timeline: int) -> str:
    """Return at which position a timeline above 1 branched off, by its history file. Raises OperationFailed when that says nothing."""
    file = data / "pg_wal" / history_name(timeline)
    try:
        return format_lsn(way_to(timeline, file.read_text(encoding="utf-8", errors="replace"))[-1].begin)
    except (OSError, ValueError) as error:
        raise OperationFailed(f"nobody knows where timeline {timeline} begins", f"{file}: {error}") from error


def announce_timeline(data: Path, timeline: int, facts: ControlFacts) -> list[str]:
    """Have the log of a new timeline archived by the next server that runs on `data`; returns the names of the files.

    A cluster that was recovered with `archive_mode=off` has marked nothing of it. Its history file would then never get into the archive,
    and no later recovery could follow the timeline (PostgreSQL documentation, "Timelines"). The segment that is still being written is left
    out: the server announces it itself.
    """
    log, status = data / "pg_wal", data / "pg_wal" / "archive_status"
    current = Segment.holding(timeline, facts.position, facts.segment_bytes)
    names = [history_name(timeline)] if (log / history_name(timeline)).exists() else []
    segments = [path.name for path in log.iterdir() if re.fullmatch(f"{timeline:08X}[0-9A-F]{{16}}", path.name)]
    names += [name for name in segments if Segment.parse(name, facts.segment_bytes) < current]
    wanted = [name for name in sorted(names) if not (status / f"{name}.done").exists()]
    for name in wanted:
        descriptor = os.open(status / f"{name}.ready", os.O_WRONLY | os.O_CREAT, 0o600)
        os.close(descriptor)
    fsync_directory(status)
    return wanted
