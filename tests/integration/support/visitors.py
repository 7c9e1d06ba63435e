"""Watching who comes to a server while something else is going on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from .cluster import Cluster

_AUTHORIZED = re.compile(r"connection authorized: .*application_name=test-bed")


@contextmanager
def nobody_visits(cluster: Cluster) -> Iterator[None]:
    """Fail when anybody but the test bed tries to get into the server, or when its databases or roles are others after the block."""
    log = cluster.data / "server.log"
    cluster.execute("alter system set log_connections = on")
    cluster.execute("select pg_reload_conf()")
    before = cluster.databases(), cluster.roles()
    size = log.stat().st_size
    try:
        yield
        after = cluster.databases(), cluster.roles()
        lines = log.read_bytes()[size:].decode(errors="replace").splitlines()
    finally:
        cluster.execute("alter system reset log_connections")
        cluster.execute("select pg_reload_conf()")
    came = [line for line in lines if "connection received" in line]
    known = [line for line in lines if _AUTHORIZED.search(line)]
    assert known, f"the server does not tell who comes: {lines}"
    assert len(came) == len(known), f"somebody else was there: {lines}"
    assert after == before
