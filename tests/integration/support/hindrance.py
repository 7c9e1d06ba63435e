"""Making the world go wrong at a chosen moment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .cluster import Cluster
from .product import Pgkeeper, Running
from .user import service_ids
from .waiting import wait_until

# pg_dump asks for a sequence's value when it has locked all tables and read their schema, before it writes anything: whoever holds the
# sequence's lock holds the dump there.
STALLED_SCRIPT = """
create table kept (id int primary key, t text);
insert into kept select n, md5(n::text) from generate_series(1, 2000) n;
create sequence stall;
select nextval('stall');
"""

# More than any pipe or buffer holds, so that a dump of it can be caught in the middle of the data.
BULKY_SCRIPT = """
create table kept (id int primary key, t text);
insert into kept select n, md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text) from generate_series(1, 400000) n;
"""


@contextmanager
def stalled(cluster: Cluster, database: str) -> Iterator[Callable[[], None]]:
    """Hold every dump of `database` (made with STALLED_SCRIPT) when it has begun, just before its first byte.

    The dump goes on when the yielded function is called, or when the block ends.
    """
    with locked(cluster, database, "drop sequence stall") as release:
        yield release


@contextmanager
def locked(cluster: Cluster, database: str, statement: str, application_name: str = "test-bed") -> Iterator[Callable[[], None]]:
    """Hold the locks of a statement until the yielded function is called, or the block ends. It is never committed."""
    with cluster.connect(database, application_name=application_name) as connection:
        connection.execute("begin")
        connection.execute(statement.encode())
        yield connection.close


def wait_for_stalled_session(cluster: Cluster, database: str) -> int:
    """Wait until a session of pgkeeper in `database` waits for a lock; returns its server process id."""

    def find() -> int | None:
        rows = cluster.query(
            "select pid from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
            " and application_name <> 'test-bed' and backend_type = 'client backend'",
            database,
        )
        return int(str(rows[0][0])) if rows else None

    return int(wait_until(find, f"a session in {database} that waits for a lock") or 0)


@contextmanager
def frozen_amid_data(pgkeeper: Pgkeeper, database: str, running: Running) -> Iterator[int]:
    """Stop pgkeeper while the server sends it the data of `database`; yields the server's process id.

    When the block ends, pgkeeper goes on.
    """
    with pgkeeper.cluster.connect() as connection:

        def copying() -> int | None:
            assert running.process.poll() is None, f"ended early: {running.result().output}"
            rows = connection.execute(
                "select pid from pg_stat_activity where datname = %s and state = 'active' and query like 'COPY %%'",
                [database],
            ).fetchall()
            return int(str(rows[0][0])) if rows else None

        wait_until(copying, "the data being dumped")
        running.signal(signal.SIGSTOP)
        server_process = copying()
        assert server_process, "the dump ended before it could be stopped"
        wait_until(
            lambda: (
                connection.execute("select wait_event = 'ClientWrite' from pg_stat_activity where pid = %s", [server_process]).fetchone()
                == (True,)
            ),
            "the server waiting for its reader",
        )
    try:
        yield server_process
    finally:
        if running.process.poll() is None:
            running.signal(signal.SIGCONT)


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[None]:
    """Put a disk of this size at `place`, an empty directory; what was there before comes back afterwards."""
    uid, gid = service_ids()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700,uid={uid},gid={gid}", "tmpfs", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def belonging_to_root(place: Path) -> Iterator[None]:
    """Take a directory away from `postgres`: it may look, not write."""
    os.chown(place, 0, 0)
    place.chmod(0o755)
    try:
        yield
    finally:
        place.chmod(0o700)
        os.chown(place, *service_ids())
