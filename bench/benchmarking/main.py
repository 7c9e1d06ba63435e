"""The command line, and the order of everything."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from .archived_cluster import SEGMENT_BYTES, ArchivedCluster, require_pgbackrest
from .archiving import measure_archiving, measure_push
from .attendant import Attendant
from .calls import Calls, Pgkeeper
from .certificate import make_certificate
from .cluster import Cluster
from .comparisons import BACKUP, RESTORE_OFF_SITE, STEPS, SYNC, ratios, targets
from .contenders import Contenders
from .errors import BenchmarkError
from .host_death import measure_host_deaths
from .left_running import adopt_orphans
from .log_writer import LogWriter
from .machine import machine_facts
from .recoveries import Recoveries
from .report import render
from .results import MemoryAtSize, Results, Sample, Step, rotated, spread
from .storage import Storage, Storages
from .user import require_user
from .workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
_DATABASE = "analytic_bot"
_PYTHON = ROOT / ".venv/bin/python"
_VERSION_CALLS = 20
_LINE = 1e9 / 8
_SMALLEST_BYTES = 38e6
# Segments for each gigabyte: a gigabyte of log to be replayed, and a minute's work of archiving.
_REPLAYED = 64
_PUSHED = 200
_FEWEST = 4
# How much of the database's size the object storage holds at most: backups and log, compressed.
_OFF_SITE_MEMORY = 2
_SIZE = re.compile(r"\d+(\.\d+)?[MG]", re.IGNORECASE)
_DESCRIPTION = """Measures pgkeeper beside pg_dump, gzip, psql and pg_restore, on demo data and two PostgreSQL of its own on private ports,
which are removed at the end. Run it as root or as postgres on a machine that has nothing else to do; docs/benchmarks.md says more."""


class _Stopped(Exception):
    """A signal asked for an end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        results = _benchmark(options)
        report = render(results)
        if options.json:
            options.json.write_text(json.dumps(results.document(), indent=2) + "\n", encoding="utf-8")
        if options.markdown:
            options.markdown.write_text(report, encoding="utf-8")
        else:
            print(report, end="")
    except _Stopped as stopped:
        _say(f"ended by {signal.Signals(stopped.number).name}; everything is removed")
        return 128 + stopped.number
    except (BenchmarkError, OSError) as error:
        _say(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/benchmark", description=_DESCRIPTION)
    parser.add_argument(
        "--size", type=_size, default="1G", help="size of the demo database, such as 200M or 1.6G; 38M is the smallest [%(default)s]"
    )
    parser.add_argument("--seed", default="1", help="the same seed and size give the same rows everywhere [%(default)s]")
    parser.add_argument("--repeat", type=_at_least_one, default=3, metavar="N", help="rounds after the one that warms up [%(default)s]")
    parser.add_argument(
        "--memory-sizes",
        type=_sizes,
        default=[],
        metavar="SIZES",
        help="then take databases of these sizes off site and back too, 100M,1G,4G say",
    )
    parser.add_argument("--program", type=Path, default=ROOT / ".venv/bin/pgkeeper", help="the pgkeeper to measure [this checkout's]")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where to work, on the disk to measure [%(default)s]")  # noqa: S108
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report there instead of to stdout")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return parser


def _size(text: str) -> str:
    """Return a size as it is. Raises argparse's error for one that bench/demo_database would not take."""
    if _SIZE.fullmatch(text) is None or _bytes(text) < _SMALLEST_BYTES:
        raise argparse.ArgumentTypeError(f"{text} is not a size of at least 38M; write 200M or 1.6G")
    return text


def _bytes(size: str) -> float:
    return float(size[:-1]) * {"M": 1e6, "G": 1e9}[size[-1].upper()]


def _sizes(text: str) -> list[str]:
    return [_size(part) for part in text.split(",")]


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 1")
    return int(text)


def _stop(number: int, _frame: object) -> None:
    # Clearing up is not to be interrupted.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise _Stopped(number)


def _benchmark(options: argparse.Namespace) -> Results:
    require_user()
    program = options.program.absolute()
    for needed in (program, _PYTHON):
        if not needed.exists():
            raise BenchmarkError(f"{needed} is not there; scripts/test --fast prepares this checkout's")
    require_pgbackrest()
    size = _bytes(options.size)
    _require_memory(size)
    _require_space(options.directory, size, max(map(_bytes, [options.size, *options.memory_sizes])))
    adopt_orphans()
    machine = machine_facts()
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace(options.directory.absolute()))
        attendant = stack.enter_context(Attendant(workspace, _PYTHON))
        certificate = make_certificate(workspace.directory("certificate"))
        cluster = stack.enter_context(Cluster(workspace, attendant))
        near, far = stack.enter_context(Storage(_PYTHON)), stack.enter_context(Storage(_PYTHON, _LINE))
        archive = stack.enter_context(Storage(_PYTHON, certificate=certificate))
        pgkeeper = Pgkeeper(program, cluster, workspace)
        said = cluster.run(pgkeeper.arguments("--version"), extra=pgkeeper.environment).strip()
        machine |= {"postgresql": cluster.query("SHOW server_version"), "python": _python(program), "pgkeeper": said}
        _say(f"making a demo database of {options.size}")
        _make_database(cluster, _DATABASE, options.size, options.seed)
        database_bytes, sql_bytes = _database_bytes(cluster, _DATABASE), _sql_bytes(cluster, _DATABASE)
        contenders = Contenders(pgkeeper, cluster, Storages(near, far), workspace, _DATABASE, sql_bytes)
        _say("making a cluster of the same rows that archives its log, and its first backup")
        archived = stack.enter_context(ArchivedCluster(workspace, attendant, cluster, archive, certificate))
        its_own = Pgkeeper(program, archived, workspace, "archived-pgkeeper", **archived.pitr_settings)
        writer = LogWriter(archived, _DATABASE)
        recoveries = Recoveries(its_own, Calls(its_own, cluster), archived, workspace, _DATABASE)
        recoveries.prepare(writer, _segments(size, _REPLAYED))
        steps = _rounds({**contenders.steps(), **recoveries.steps()}, options.repeat)
        version = spread([contenders.version() for _ in range(_VERSION_CALLS)])
        cluster.drop_database(_DATABASE)
        archiving = measure_archiving(archived, writer, _segments(size, _PUSHED))
        _say(f"archiving: {archiving.segments} segments: {archiving.seconds:.1f} s")
        host_death = measure_host_deaths(archived, recoveries, measure_push(archived, writer), _DATABASE)
        _say(f"the host's death: {host_death.lost_seconds:.1f} s lost at most")
        memory = tuple(found for size in options.memory_sizes for found in _memory(contenders, cluster, size, options.seed))
    found = ratios(steps)
    return Results(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine,
        data={
            "size": options.size,
            "seed": options.seed,
            "rounds": options.repeat,
            "database_bytes": database_bytes,
            "sql_bytes": sql_bytes,
        },
        steps=steps,
        ratios=found,
        version_seconds=version,
        memory=memory,
        archiving=archiving,
        host_death=host_death,
        targets=targets(steps, found, memory, version, archiving, host_death),
    )


def _rounds(work: Mapping[str, Callable[[], Sample]], repeat: int) -> tuple[Step, ...]:
    """Take every step once to warm up, then `repeat` times in rotated order."""
    samples: dict[str, list[Sample]] = {name: [] for name in STEPS}
    for number in range(repeat + 1):
        for name in rotated(STEPS, number):
            sample = work[name]()
            _say(f"{f'round {number} of {repeat}' if number else 'warming up'}: {name}: {sample.wall_seconds:.1f} s")
            if number:
                samples[name].append(sample)
    return tuple(Step(name, tuple(found)) for name, found in samples.items())


def _memory(contenders: Contenders, cluster: Cluster, size: str, seed: str) -> Iterator[MemoryAtSize]:
    name = "memory"
    _say(f"making a demo database of {size}")
    _make_database(cluster, name, size, seed)
    database_bytes = _database_bytes(cluster, name)
    work = {BACKUP: lambda: contenders.backup(name), SYNC: contenders.sync, RESTORE_OFF_SITE: contenders.restore_off_site}
    for step, measured in work.items():
        sample = measured()
        _say(f"{size}: {step}: {sample.wall_seconds:.1f} s")
        yield MemoryAtSize(step, size, database_bytes, sample)
    contenders.forget_copy()
    contenders.forget_backup()
    cluster.drop_database(name)


def _make_database(cluster: Cluster, name: str, size: str, seed: str) -> None:
    """Make a demo database. It must be told the port, and finds the socket in the environment."""
    command = [str(ROOT / "bench/demo_database"), "--port", str(cluster.port), "--database", name, "--size", size, "--seed", seed]
    done = subprocess.run(command, env=cluster.environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    if done.returncode:
        raise BenchmarkError("the demo database could not be made; see the line above")


def _database_bytes(cluster: Cluster, name: str) -> int:
    return int(cluster.query(f"SELECT pg_database_size('{name}')"))


def _sql_bytes(cluster: Cluster, name: str) -> int:
    """Return the size of the database's plain dump."""
    return int(cluster.run(["bash", "-c", 'set -o pipefail; pg_dump -d "$1" | wc --bytes', "bash", name]))


def _python(program: Path) -> str:
    """Return the version of the Python that runs pgkeeper: the one beside it."""
    beside = program.resolve().parent / "python"
    said = subprocess.run([beside, "--version"], capture_output=True, text=True, check=False) if beside.exists() else None
    return said.stdout.strip().removeprefix("Python ") if said else "unknown"


def _segments(size: float, each: int) -> int:
    """Return how many segments of log a database of this size is to have, where one of a gigabyte has `each`."""
    return max(_FEWEST, round(each * size / 1e9))


def _require_memory(size: float) -> None:
    """Raise BenchmarkError unless there is room in memory for what is archived off site."""
    (available,) = (
        int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")
    )
    needed = _OFF_SITE_MEMORY * size + 5e8
    if available < needed:
        raise BenchmarkError(
            f"{available / 1e9:.1f} GB of memory are free, and {needed / 1e9:.1f} GB may be needed; choose a smaller --size"
        )


def _require_space(directory: Path, size: float, largest: float) -> None:
    """Raise BenchmarkError unless there is room.

    For the largest database, a copy of it, a proof, WAL, and what dumps take; and for the one that is archived, a recovered one, the log
    that waits, and what is in the local repository.
    """
    # WAL grows with what is written, up to what checkpoints allow.
    wal_bytes = min(12 * largest, 3e9)
    log_bytes = (2 * _segments(size, _REPLAYED) + 2 * _segments(size, _PUSHED)) * SEGMENT_BYTES
    free, needed = shutil.disk_usage(directory).free, 4 * largest + wal_bytes + 3 * size + log_bytes + 3e8
    if free < needed:
        raise BenchmarkError(
            f"{directory} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB may be needed; choose another with --directory"
        )


def _say(text: str) -> None:
    print(f"bench/benchmark: {text}", file=sys.stderr, flush=True)
