"""A standby whose replay ends what reads it is backed up all the same, and its owner hears what to set."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from .conftest import assert_nothing_left
from .support.cluster import Cluster, Standby
from .support.processes import is_alive
from .support.product import DONE, FAILED, Pgkeeper, Run
from .support.waiting import wait_until
from .support.workspace import Workspace

CONFLICTS = "select confl_snapshot from pg_stat_database_conflicts where datname = 'app'"


@pytest.fixture
def reader(cluster: Cluster, workspace: Workspace) -> Iterator[Pgkeeper]:
    """A pgkeeper that backs up a standby, of which the primary has the database `app`."""
    cluster.execute("create database app")
    cluster.psql("app", "create table t as select generate_series(1, 1000) as n;")
    try:
        standby = Standby(workspace, cluster)
        try:
            product = Pgkeeper(standby, workspace.path / "standby-keeper")
            product.configure(BACKUP_FROM_STANDBY="true", BACKUP_LOCK_TIMEOUT_SECONDS="1")
            yield product
            assert_nothing_left(product)
        finally:
            standby.stop()
    finally:
        cluster.drop_database("app")


def conflict(cluster: Cluster, standby: Cluster) -> None:
    """Let the primary remove rows that a snapshot on the standby still sees, and wait until the standby has ended who holds it."""
    before = standby.query(CONFLICTS)
    cluster.psql("app", "delete from t where n = (select min(n) from t);\nvacuum t;")
    wait_until(lambda: standby.query(CONFLICTS) != before, "a conflict on the standby")


def backed_up_with_conflicts(reader: Pgkeeper, cluster: Cluster, times: int) -> Run:
    """What a backup says whose first tries the standby ends."""
    with reader.start("backup", "--database", "app") as running:
        for _ in range(times):
            dumping = running.wait_for_child("pg_dump")
            os.kill(dumping, signal.SIGSTOP)
            conflict(cluster, reader.cluster)
            os.kill(dumping, signal.SIGCONT)
            wait_until(lambda pid=dumping: not is_alive(pid), "the end of pg_dump")  # type: ignore[misc]
        return running.result()


def test_a_backup_that_the_replay_ends_is_tried_again_and_says_what_to_set(reader: Pgkeeper, cluster: Cluster) -> None:
    assert isinstance(reader.cluster, Standby)
    reader.cluster.catch_up()
    assert "hot_standby_feedback is off" in reader("doctor").output
    once = backed_up_with_conflicts(reader, cluster, 1).exits(DONE)
    assert once.stderr.count("trying again") == 1
    always = backed_up_with_conflicts(reader, cluster, 3).exits(FAILED)
    assert always.stderr.count("trying again") == 2
    assert "due to conflict with recovery" in always.error
    assert "hot_standby_feedback = on" in always.error
    reader.cluster.execute("alter system set hot_standby_feedback = on")
    reader.cluster.execute("select pg_reload_conf()")
    wait_until(lambda: "hot_standby_feedback is off" not in reader("doctor").output, "doctor to be content")
