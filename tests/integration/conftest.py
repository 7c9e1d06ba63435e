"""Fixtures of the integration tests.

The cluster and the zoo are made once for a session. Every test gets a pgkeeper with directories of its own, and after
every test someone looks whether anything was left behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import zoo
from .support.cluster import Cluster
from .support.object_storage import make_bucket, object_storage
from .support.off_site import BucketInside, set_up
from .support.product import Pgkeeper, Run
from .support.waiting import wait_until
from .support.workspace import Workspace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here as one that needs PostgreSQL."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session", autouse=True)
def signals_reach_children() -> None:
    """Let a child be interrupted although this session was started with signals ignored (by nohup, or with `&`)."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            # A handler is reset when a program is started; being ignored is inherited.
            signal.signal(number, lambda _number, _frame: None)


@pytest.fixture(scope="session")
def workspace() -> Iterator[Workspace]:
    """The session's directory; what a killed session left behind is cleared first."""
    if os.geteuid() != 0:
        pytest.fail("these tests make a PostgreSQL as the OS user postgres: run them as root, or through scripts/test")
    space = Workspace()
    try:
        yield space
    finally:
        space.remove()


@pytest.fixture(scope="session")
def cluster(workspace: Workspace) -> Cluster:
    """A real PostgreSQL on a private port, with nothing in it but what each test puts there."""
    return Cluster(workspace)


@pytest.fixture(scope="session")
def zoo_cluster(workspace: Workspace) -> Iterator[Cluster]:
    """Another one, with every database of the zoo."""
    with zoo.zoo_extension():
        cluster = Cluster(workspace, "zoo")
        zoo.build(cluster, workspace)
        yield cluster


@pytest.fixture(scope="session")
def zoo_keeper(zoo_cluster: Cluster, workspace: Workspace) -> Iterator[Pgkeeper]:
    """One pgkeeper for the whole zoo."""
    product = Pgkeeper(zoo_cluster, workspace.path / "zoo-keeper")
    yield product
    assert_nothing_left(product)


@pytest.fixture(scope="session")
def zoo_backup(zoo_keeper: Pgkeeper) -> Run:
    """One run that backs up every database there is."""
    return zoo_keeper("backup", "--json", seconds=600)


@pytest.fixture
def pgkeeper(cluster: Cluster, workspace: Workspace, request: pytest.FixtureRequest) -> Iterator[Pgkeeper]:
    """The program for one test, with the promise that a call leaves nothing behind."""
    databases, roles = cluster.databases(), cluster.roles()
    home = workspace.path / f"{len(list(workspace.path.iterdir())):03d}-{request.node.name[:40].replace('/', '_')}"
    product = Pgkeeper(cluster, home)
    try:
        yield product
        assert_nothing_left(product)
        strays = cluster.databases() - databases - product.databases
    finally:
        # Also what is not the test's own: one test's failure must not become the next one's.
        for database in cluster.databases() - databases | product.databases:
            cluster.drop_database(database)
    assert not strays, "databases were left behind"
    assert cluster.roles() == roles, "roles were left behind or lost"


@pytest.fixture(scope="session")
def storage() -> Iterator[str]:
    """The address of a provider of buckets."""
    with object_storage() as address:
        yield address


@pytest.fixture
def inside(storage: str, pgkeeper: Pgkeeper) -> BucketInside:
    """The bucket that `pgkeeper` copies into."""
    bucket = make_bucket(storage)
    set_up(pgkeeper, storage, bucket)
    return BucketInside(storage, bucket)


def assert_nothing_left(product: Pgkeeper) -> None:
    """Fail when a connection, a process, a half-built backup or a temporary file outlived its call."""
    wait_until(lambda: not product.cluster.clients(), f"the end of {product.cluster.clients()}", 10)
    running = product.processes()
    assert not running, f"still running: {running}"
    assert not product.debris(), f"left behind: {product.debris()}"
