"""Two clusters on one host share a state directory, and are never mixed up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from .support.cluster import Cluster
from .support.product import DONE, FAILED, USAGE, Pgkeeper
from .support.waiting import wait_until
from .support.workspace import Workspace

CONFIRMED = ("--confirm", "RESTORE", "--json")


@pytest.fixture(scope="module")
def other(workspace: Workspace) -> Iterator[Cluster]:
    """Another cluster of the host, with a name of its own, as Debian gives it."""
    cluster = Cluster(workspace, "other")
    cluster.execute("alter system set cluster_name = 'test/other'")
    cluster.stop()
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def both(pgkeeper: Pgkeeper, other: Cluster) -> Iterator[tuple[Cluster, Cluster]]:
    """Both with a database `app`; pgkeeper is led to the first."""
    before = other.databases()
    other.execute("create database app template template0")
    pgkeeper.create_database("app")
    yield pgkeeper.cluster, other
    for name in other.databases() - before:
        other.drop_database(name)


def lead_to(pgkeeper: Pgkeeper, cluster: Cluster) -> None:
    pgkeeper.configure(**cluster.environment())


def replace(pgkeeper: Pgkeeper, cluster: Cluster) -> dict[str, Any]:
    """Back up the cluster's `app`, and put that in its place."""
    lead_to(pgkeeper, cluster)
    # Two clusters may have backups of one second, whose id then means neither.
    taken = {backup["backup_id"] for backup in pgkeeper("list", "--json").exits(DONE).json["backups"]}
    wait_until(lambda: f"app-{datetime.now(UTC):%Y%m%dT%H%M%SZ}" not in taken, "a second without a backup")
    backup_id = pgkeeper.backup("app")
    report = dict(pgkeeper("restore", backup_id, "--replace", *CONFIRMED).exits(DONE).json)
    pgkeeper.databases.add(report["kept_as"])
    return report


def undo(pgkeeper: Pgkeeper, *arguments: str) -> dict[str, Any]:
    report = dict(pgkeeper("restore", "--undo", *CONFIRMED, *arguments).exits(DONE).json)
    pgkeeper.databases.add(report["kept_as"])
    return report


def test_undo_means_the_last_replacement_on_the_cluster_it_is_led_to(pgkeeper: Pgkeeper, both: tuple[Cluster, Cluster]) -> None:
    first, second = (replace(pgkeeper, cluster) for cluster in both)
    lead_to(pgkeeper, both[0])
    assert undo(pgkeeper)["undone"] == first["replacement_id"]
    assert "the last one was undone" in pgkeeper("restore", "--undo", *CONFIRMED).exits(USAGE).error
    lead_to(pgkeeper, both[1])
    assert undo(pgkeeper)["undone"] == second["replacement_id"]


def test_a_request_id_used_on_one_cluster_is_free_on_the_other(pgkeeper: Pgkeeper, both: tuple[Cluster, Cluster]) -> None:
    for cluster in both:
        replace(pgkeeper, cluster)
        assert undo(pgkeeper, "--request-id", "ticket-8")["changed"]
    lead_to(pgkeeper, both[0])
    assert not undo(pgkeeper, "--request-id", "ticket-8")["changed"]


def test_a_replacement_interrupted_on_one_cluster_holds_nobody_up_on_the_other(pgkeeper: Pgkeeper, both: tuple[Cluster, Cluster]) -> None:
    replace(pgkeeper, both[1])
    (journal,) = pgkeeper.state.rglob("*.jsonl")
    begun = [line for line in journal.read_text().splitlines() if json.loads(line)["step"] != "done"]
    journal.write_text("".join(f"{line}\n" for line in begun))
    replace(pgkeeper, both[0])
    undo(pgkeeper)
    assert "settled" not in pgkeeper("backup", "--database", "app").exits(DONE).output
    assert "was begun on another server" in pgkeeper("restore", "--resume", "--json").exits(FAILED).error
    lead_to(pgkeeper, both[1])
    assert len(pgkeeper("restore", "--resume", "--json").exits(DONE).json["settled"]) == 1
    assert pgkeeper("restore", "--resume", "--json").exits(DONE).json["settled"] == []
