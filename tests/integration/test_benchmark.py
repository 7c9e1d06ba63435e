"""The benchmark measures everything it speaks of, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.benchmarking.archived_cluster import require_pgbackrest
from bench.benchmarking.attendant import Attendant
from bench.benchmarking.cluster import Cluster
from bench.benchmarking.comparisons import STEPS
from bench.benchmarking.errors import BenchmarkError
from bench.benchmarking.workspace import Workspace as BenchmarkWorkspace
from bench.benchmarking.workspace import clear_dead

from .support.processes import all_command_lines, children_of, command_line, is_alive
from .support.waiting import wait_until
from .support.workspace import Workspace

ROOT = Path(__file__).parents[2]
BENCHMARK = ROOT / "bench/benchmark"


@contextmanager
def benchmark(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start it on the smallest database; when the block ends, so has it."""
    process = subprocess.Popen(
        [BENCHMARK, "--size", "38M", "--repeat", "1", "--directory", directory, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def wait_for_words(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it never said {words!r}")


def running_in(directory: Path) -> list[str]:
    return [line for line in all_command_lines() if str(directory) in line and "bench/benchmark" not in line]


def storages_of(process: subprocess.Popen[str]) -> list[int]:
    found = [pid for pid, _ in children_of(process.pid) if "storage_server.py" in command_line(pid)]
    assert len(found) == 3
    return found


def test_it_measures_every_step_and_leaves_nothing(workspace: Workspace) -> None:
    directory = workspace.directory("benchmark", 0o755)
    document, report = workspace.path / "benchmark.json", workspace.path / "benchmark.md"
    with benchmark(directory, "--memory-sizes", "38M", "--json", str(document), "--markdown", str(report)) as process:
        stdout, stderr = process.communicate(timeout=570)
    assert process.returncode == 0, stderr
    assert stdout == ""
    found = json.loads(document.read_text())
    assert [step["name"] for step in found["steps"]] == list(STEPS)
    for step in found["steps"]:
        ours = step["name"].startswith("pgkeeper")
        (sample,) = step["rounds"]
        assert sample["wall_seconds"] > 0.01, step
        assert sample["cpu_seconds"] > 0.01, step
        assert sample["peak_bytes"] > 1e6, step
        assert (sample["own_peak_bytes"] is not None) == ours, step
        assert (sample["produced_bytes"] is None) == ("verify" in step["name"]), step
    samples = {step["name"]: step["rounds"][0] for step in found["steps"]}
    assert samples["pg_dump | gzip"]["cpu_seconds"] > samples["pg_dump >/dev/null"]["cpu_seconds"] * 2
    # A proof's server is the command's own, and counts.
    assert samples["pgkeeper verify --level restore"]["cpu_seconds"] > samples["pgkeeper restore"]["cpu_seconds"]
    # A recovery brings the whole database back, and what was written behind the backup only where that was asked for.
    physical = samples["pgkeeper pitr restore --immediate"]
    assert physical["produced_bytes"] == pytest.approx(found["data"]["database_bytes"], rel=0.01)
    assert samples["pgkeeper pitr restore --immediate --from cloud"]["produced_bytes"] == physical["produced_bytes"]
    assert samples["pgkeeper pitr restore --target-time"]["produced_bytes"] > physical["produced_bytes"]
    # What was sent is what was backed up: encrypted, or the dump alone.
    assert samples["pgkeeper sync"]["produced_bytes"] == pytest.approx(samples["pgkeeper backup"]["produced_bytes"], rel=0.01)
    assert samples["upload_file"]["produced_bytes"] == pytest.approx(samples["pgkeeper backup"]["produced_bytes"], rel=0.05)
    assert samples["openssl enc; upload_file"]["produced_bytes"] == (samples["pg_dump | gzip"]["produced_bytes"] // 16 + 2) * 16
    for sends in (name for name in STEPS if "sync" in name or "upload_file" in name):
        assert 0.01 < samples[sends]["sending_seconds"] < samples[sends]["wall_seconds"], sends
    assert [one["name"] for one in found["memory"]] == ["pgkeeper backup", "pgkeeper sync", "pgkeeper restore --from cloud"]
    assert found["memory"][0]["database_bytes"] > 30e6
    assert found["archiving"]["segments"] >= 8
    assert found["archiving"]["seconds"] > 0
    dying = found["host_death"]
    assert dying["archive_timeout_seconds"] == 10
    assert dying["push_seconds"]["least"] > 0.01
    assert len(dying["deaths"]) == 3
    for death in dying["deaths"]:
        # At most what a push and archive_timeout hold, which a busy machine delays; twenty commits a second at most.
        assert 0 < death["lost_seconds"] < 20, death
        assert 0 < death["lost_commits"] <= 21 * death["lost_seconds"], death
        assert death["recovery_seconds"] > 0.1, death
    # A segment that archive_timeout had ended was lost at least once: it holds about all of that time.
    assert dying["lost_seconds"] == max(death["lost_seconds"] for death in dying["deaths"]) > 8
    assert dying["limit_seconds"] == pytest.approx(10 + dying["push_seconds"]["median"])
    assert len(found["targets"]) == 13
    assert "| pgkeeper backup |" in report.read_text()
    private = {os.uname().nodename, str(directory), str(ROOT)}
    assert not [word for word in private if word in document.read_text() + report.read_text()]
    assert list(directory.iterdir()) == []
    assert running_in(directory) == []


def test_what_a_killed_run_left_goes_with_the_next_and_a_stopped_one_leaves_nothing(workspace: Workspace) -> None:
    directory = workspace.directory("benchmark-ended", 0o755)
    with benchmark(directory) as process:
        wait_for_words(process, "making a demo database")
        assert running_in(directory)
        storages = storages_of(process)
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(is_alive, storages)), "the end of the killed run's storages")
        wait_until(lambda: not running_in(directory), "the end of the killed run's server")
    (killed,) = directory.iterdir()
    with benchmark(directory) as process:
        wait_for_words(process, "warming up: pgkeeper backup")
        assert killed not in directory.iterdir()
        storages = storages_of(process)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, stderr
    assert list(directory.iterdir()) == []
    assert running_in(directory) == []
    assert not is_alive(process.pid)
    assert not any(map(is_alive, storages))


def test_a_run_that_is_killed_while_a_recovered_server_runs_leaves_no_server(workspace: Workspace) -> None:
    directory = workspace.directory("killed", 0o755)
    with benchmark(directory) as process:
        wait_until(lambda: recovered_in(directory) or process.poll() is not None, "a recovered server", 300)
        assert process.poll() is None, process.communicate()[1]
        process.kill()
        process.wait()
        wait_until(lambda: not running_in(directory), "the end of the killed run's servers")


def recovered_in(directory: Path) -> list[str]:
    return [line for line in running_in(directory) if "bin/postgres" in line and "/recoveries/cluster/data" in line]


def test_what_runs_in_a_dead_runs_directory_is_ended_before_that_goes(workspace: Workspace) -> None:
    directory = workspace.directory("dead", 0o755)
    dead = BenchmarkWorkspace(directory)
    cluster = Cluster(dead, Attendant(dead, ROOT / ".venv/bin/python"))
    cluster.make_files()
    server = subprocess.Popen(
        [cluster.binaries / "postgres", "-D", cluster.data, "-k", cluster.sockets, "-c", "listen_addresses="],
        user="postgres",
        group="postgres",
        extra_groups=[],
        cwd="/",
        env=cluster.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: any(cluster.sockets.iterdir()), "the server's socket")
        clear_dead(directory)
        assert server.poll() is None, "its run lives"
        os.close(dead._lock)
        clear_dead(directory)
        assert server.wait(10) == -signal.SIGKILL
    finally:
        server.kill()
        server.wait()
    assert list(directory.iterdir()) == []


def test_that_pgbackrest_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"pgbackrest is not installed.*apt-get install pgbackrest"):
        require_pgbackrest(str(tmp_path))
    require_pgbackrest()


def test_a_database_that_is_too_small_is_refused_at_once(workspace: Workspace) -> None:
    done = subprocess.run([BENCHMARK, "--memory-sizes", "1G,3M"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "3M is not a size of at least 38M" in done.stderr
