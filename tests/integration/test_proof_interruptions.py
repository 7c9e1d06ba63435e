"""A proof that is cut off, or that has no room or no sandbox, says so, harms nothing, and leaves nothing for long."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import kill

import pytest

from .conftest import assert_nothing_left
from .support.attack import attacking
from .support.cluster import Cluster
from .support.hindrance import small_disk
from .support.processes import children_of, command_line, sandboxed_processes
from .support.product import DONE, FAILED, REFUSED, Pgkeeper, Run, Running
from .support.user import SERVICE_USER
from .support.visitors import nobody_visits
from .support.waiting import wait_until
from .support.workspace import Workspace

PHASES = (
    "make a throwaway cluster",
    "check backup",
    "create roles",
    "schema",
    "load data",
    "indexes and constraints",
    "compare and analyze",
    "open",
)
DATABASES = ("pausing", "pausing too")


@pytest.fixture(scope="module")
def keeper(cluster: Cluster, workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper with backups of databases whose proofs pause for some seconds while constraints are added."""
    product = Pgkeeper(cluster, workspace.path / "cut-off")
    for number, name in enumerate(DATABASES):
        product.create_database(name, attacking("begin perform pg_sleep(5); end", f"mallory{number}"))
        product.backup(name)
    yield product
    assert_nothing_left(product)
    for number, name in enumerate(DATABASES):
        cluster.drop_database(name)
        cluster.execute(f"drop role mallory{number}")


@contextmanager
def proving(keeper: Pgkeeper, *databases: str) -> Iterator[Running]:
    """Begin to prove the newest backups of `databases`."""
    wanted = [word for name in databases for word in ("--database", name)]
    with keeper.start("verify", "latest", *wanted, "--level", "restore") as running:
        yield running


def pauses(running: Running, proofs: int = 1) -> None:
    """Wait until so many proofs pause, while their constraint is added."""

    def pausing() -> bool:
        assert running.process.poll() is None, running.result().output
        return sum("ALTER TABLE" in command_line(pid) for pid, _ in children_of(running.pid)) >= proofs

    wait_until(pausing, f"{proofs} proofs that pause", 60)


def begins(running: Running, phase: str) -> None:
    """Wait until it says that `phase` begins."""
    assert running.process.stderr is not None
    for line in running.process.stderr:
        if line.startswith(phase):
            return
    raise AssertionError(f"it never said {phase}")


def nothing_runs(keeper: Pgkeeper) -> None:
    wait_until(lambda: not sandboxed_processes(keeper.home), "the end of the sandbox", 10)
    wait_until(lambda: not keeper.processes(), f"the end of {keeper.processes()}", 10)


@pytest.mark.parametrize("phase", PHASES)
def test_a_proof_killed_at_any_moment_leaves_no_process_and_the_next_one_clears_up(keeper: Pgkeeper, phase: str) -> None:
    with nobody_visits(keeper.cluster), proving(keeper, DATABASES[0]) as running:
        begins(running, phase)
        running.signal(signal.SIGKILL)
        running.process.wait()
        nothing_runs(keeper)
        assert len(list(keeper.proofs.iterdir())) == 1, "this test expects that a killed run cannot clean up"
    with proving(keeper, DATABASES[0]) as running:
        begins(running, "check backup")
        assert len(list(keeper.proofs.iterdir())) == 1, "what was left is gone"
        running.signal(signal.SIGTERM)
        running.result()
    assert not list(keeper.proofs.iterdir())


def test_after_a_kill_the_next_proof_succeeds(keeper: Pgkeeper) -> None:
    with proving(keeper, DATABASES[0]) as running:
        pauses(running)
        running.signal(signal.SIGKILL)
    keeper("verify", "latest", "--database", DATABASES[0], "--level", "restore").exits(DONE)
    assert not list(keeper.proofs.iterdir())


def sandbox(running: Running, name: str) -> int:
    """The process id of a part of the one sandbox: `outer` and `inner` of bubblewrap, or `postmaster`."""
    family = children_of(running.pid)
    outer, inner = (pid for pid, command in family if command == "bwrap")
    return {"outer": outer, "inner": inner, "postmaster": min(pid for pid, command in family if command == "postgres")}[name]


@pytest.mark.parametrize("part", ["outer", "inner", "postmaster"])
def test_a_sandbox_that_is_killed_fails_the_proof_and_says_nothing_about_the_backup(keeper: Pgkeeper, part: str) -> None:
    keeper("verify", "latest", "--database", DATABASES[0], "--level", "checksum").exits(DONE)
    with nobody_visits(keeper.cluster), proving(keeper, DATABASES[0]) as running:
        pauses(running)
        kill(sandbox(running, part), signal.SIGKILL)
        run = running.result().exits(FAILED)
    assert run.error
    nothing_runs(keeper)
    assert not list(keeper.proofs.iterdir())
    listed = keeper("list", "--json").exits(DONE).json["backups"]
    assert all("checksum" in backup["verified"] for backup in listed if backup["database"] == DATABASES[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("databases", [DATABASES[:1], DATABASES], ids=["one", "two at once"])
def test_a_proof_that_is_told_to_stop_cleans_up_at_once(keeper: Pgkeeper, databases: tuple[str, ...], number: signal.Signals) -> None:
    with nobody_visits(keeper.cluster), proving(keeper, *databases) as running:
        pauses(running, len(databases))
        running.signal(number)
        run = running.result(20).exits(FAILED)
        assert number.name in run.error
        assert not sandboxed_processes(keeper.home)
        assert not list(keeper.proofs.iterdir())


@pytest.mark.parametrize("megabytes", [1, 200])
def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(keeper: Pgkeeper, megabytes: int) -> None:
    with disk(keeper, megabytes):
        run = keeper("verify", "latest", "--database", DATABASES[0], "--level", "restore").exits(FAILED)
    assert "too little space" in run.error
    assert "needs" in run.error
    assert "BACKUP_PROOF_DIR" in run.error


def test_a_small_database_is_proven_on_a_small_disk(keeper: Pgkeeper) -> None:
    with disk(keeper, 320):
        keeper("verify", "latest", "--database", DATABASES[0], "--level", "restore").exits(DONE)


def test_a_disk_that_somebody_fills_ends_the_proof_before_it_is_full(keeper: Pgkeeper) -> None:
    with disk(keeper, 320), proving(keeper, DATABASES[0]) as running:
        pauses(running)
        place = keeper.home / "proofs"
        subprocess.run(
            ["bash", "-c", f"head -c $(($(df --output=avail -B1 {place} | tail -n 1) - 1000000)) /dev/zero > {place}/x"], check=True
        )
        run = running.result().exits(FAILED)
        assert "given up" in run.error
        assert "nearly full" in run.error
        assert [path.name for path in place.iterdir()] == ["x"]


@contextmanager
def disk(keeper: Pgkeeper, megabytes: int) -> Iterator[None]:
    """Let proofs take place on a disk of their own."""
    place = keeper.home / "proofs"
    place.mkdir(exist_ok=True)
    keeper.configure(BACKUP_PROOF_DIR=str(place))
    try:
        with small_disk(place, megabytes * 1024):
            yield
    finally:
        keeper.configure(BACKUP_PROOF_DIR=None)
        place.rmdir()


@pytest.mark.parametrize("substitute", ["/dev/null", "/bin/false"], ids=["not installed", "not allowed"])
def test_where_no_sandbox_can_be_had_nothing_is_restored(keeper: Pgkeeper, substitute: str) -> None:
    run = without_bubblewrap(keeper, substitute, "verify", "latest", "--database", DATABASES[0], "--level", "restore").exits(REFUSED)
    assert "bubblewrap" in run.error
    findings = without_bubblewrap(keeper, substitute, "doctor", "--json").json["findings"]
    (finding,) = [finding for finding in findings if finding["subject"] == "proofs"]
    assert finding["level"] == "warning"
    assert "bubblewrap" in finding["hint"]


def without_bubblewrap(keeper: Pgkeeper, substitute: str, *arguments: str) -> Run:
    """Call pgkeeper where another file has taken bubblewrap's place."""
    identity = f"setpriv --reuid {SERVICE_USER} --regid {SERVICE_USER} --clear-groups"
    script = f'mount --bind {substitute} /usr/bin/bwrap && exec {identity} -- "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "-", sys.executable, "-m", "pgkeeper", *arguments],
        env=keeper.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(arguments, done.returncode, done.stdout, done.stderr)
