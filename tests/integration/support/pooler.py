"""A real PgBouncer before the test's cluster."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .cluster import Cluster
from .ports import free_port
from .user import SERVICE_USER, make_service_directory
from .waiting import wait_until

PROGRAM = "/usr/sbin/pgbouncer"
SETTINGS = """
[databases]
* = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
{more}
"""


@contextmanager
def pgbouncer(cluster: Cluster, place: Path, more: str = "") -> Iterator[dict[str, str]]:
    """Run one in the new directory `place`; yield what leads a libpq client to it. `more` are lines of its settings."""
    make_service_directory(place)
    own = free_port()
    settings = place / "pgbouncer.ini"
    settings.write_text(SETTINGS.format(host=cluster.socket_directory, port=cluster.port, own=own, more=more))
    process = subprocess.Popen(
        [PROGRAM, "--quiet", str(settings)],
        user=SERVICE_USER, group=SERVICE_USER, extra_groups=[], cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: _answers(own), "PgBouncer")
        yield {"PGHOST": "127.0.0.1", "PGPORT": str(own), "PGUSER": "postgres"}
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
