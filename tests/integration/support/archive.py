"""A cluster that archives its log with pgBackRest into a local repository, and a pgkeeper that knows it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from .binaries import server_binary
from .cluster import Cluster
from .processes import processes_in
from .product import Pgkeeper, Run
from .user import make_service_directory, run_as_service_user
from .waiting import wait_until
from .workspace import Workspace

STANZA = "test"

CONFIGURATION = """
[global]
repo1-path={repository}
repo1-retention-full-type=time
repo1-retention-full=7
compress-type=zst
process-max=2
archive-async=y
start-fast=y
spool-path={spool}
lock-path={locks}
log-path={logs}
log-level-file=detail

[{stanza}]
pg1-path={data}
pg1-socket-path={sockets}
pg1-port={port}
"""

SETTINGS = """
archive_mode = on
archive_command = '{push}'
archive_timeout = 300
"""


@dataclass(frozen=True)
class Archive:
    """What belongs together: the cluster, the program, and where pgBackRest keeps things."""

    cluster: Cluster
    pgkeeper: Pgkeeper
    repository: Path
    configuration: Path

    def pgbackrest(self, command: str, *options: str) -> str:
        """Run pgBackRest as the database's user; returns what it printed."""
        environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC"}
        done = run_as_service_user(["pgbackrest", *_where(self.configuration, self.pgkeeper), command, *options], environment)
        assert done.returncode == 0, f"pgbackrest {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def pitr(self, *arguments: str) -> Run:
        """Run `pgkeeper pitr`, whose answer is a document."""
        return self.pgkeeper("pitr", *arguments, "--json")

    def write(self, number: int) -> str:
        """Commit a number into table `t` and return a moment behind it, as the server says it."""
        self.cluster.execute(f"insert into t values ({number})")
        ((at,),) = self.cluster.query("select clock_timestamp()::text")
        # What is committed next lies behind that moment.
        time.sleep(0.05)
        return str(at)

    def numbers(self) -> list[int]:
        """What is in table `t`."""
        return [int(str(n)) for (n,) in self.cluster.query("select n from t order by n")]

    def commit(self) -> datetime:
        """Commit a row into table `t` and return when that was, as the server says."""
        self.cluster.execute("insert into t values (clock_timestamp())")
        ((at,),) = self.cluster.query("select max(at) from t")
        assert isinstance(at, datetime)
        return at

    def psql_at(self, directory: Path, query: str) -> str:
        """The answer of a side cluster to a question."""
        done = run_as_service_user(["psql", "-X", "-At", "-h", str(directory), "-p", "5432", "-d", "postgres", "-c", query])
        assert done.returncode == 0, f"psql in {directory}: {done.stderr}"
        return done.stdout.strip()

    def answers(self) -> bool:
        """Whether production's server lets somebody in."""
        try:
            return self.cluster.query("select pg_is_in_recovery()") == [(False,)]
        except psycopg.OperationalError:
            return False

    def crash(self) -> None:
        """Let the server end at once, as if the machine had: it can't even remove its pid file."""
        pid = int((self.cluster.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not processes_in(self.cluster.data), "the end of all its processes")
        # Until its parent takes note of its end, pg_ctl takes it for a server that runs.
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the server's process", 60)

    def end(self) -> None:
        """Stop the cluster and remove all of it: segments of 16 MB each fill a temporary directory that is kept in memory."""
        self.cluster.stop()
        for path in self.cluster.data.parent.glob(f"{self.cluster.data.name}*"):
            shutil.rmtree(path)
        shutil.rmtree(self.pgkeeper.home)

    def remove_data(self) -> None:
        """Lose the cluster, which does not run: its data directory, and what lies in its tablespaces."""
        for link in (self.cluster.data / "pg_tblspc").iterdir():
            for path in link.readlink().iterdir():
                shutil.rmtree(path)
        shutil.rmtree(self.cluster.data)

    @contextmanager
    def clone(self, directory: Path) -> Iterator[Callable[[str], str]]:
        """Restore the cluster by hand into an empty directory, as people do, and let it run there, to archive where production does.

        Yields what answers its queries. It is another one's directory for pgBackRest, as on another host.
        """
        self.pgbackrest("restore", f"--pg1-path={directory}", "--archive-mode=preserve")
        push = shlex.join(["pgbackrest", *_where(self.configuration, self.pgkeeper), f"--pg1-path={directory}", "archive-push", "%p"])
        with (directory / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{directory}'\narchive_command = '{push}'\n")
        log = str(directory / "server.log")
        assert run_as_service_user([server_binary("pg_ctl"), "start", "-w", "-D", str(directory), "-l", log]).returncode == 0

        def ask(query: str) -> str:
            asked = [server_binary("psql"), "-X", "-At", "-h", str(directory), "-p", str(self.cluster.port), "-d", "postgres", "-c", query]
            done = run_as_service_user(asked)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        try:
            wait_until(lambda: ask("select pg_is_in_recovery()") == "f", "the end of the clone's recovery", 60)
            yield ask
        finally:
            run_as_service_user([server_binary("pg_ctl"), "stop", "-w", "-m", "fast", "-D", str(directory)])
            shutil.rmtree(directory)

    def switch(self) -> str:
        """End the current segment, or the last one if nothing was written since; wait until it is archived, and return its name."""
        ((name,),) = self.cluster.query("select pg_walfile_name(pg_switch_wal() - 1)")
        reached = "select last_archived_wal >= %s from pg_stat_archiver"
        wait_until(lambda: self.cluster.query(reached, name) == [(True,)], f"{name} in the archive", 60)
        return str(name)


def archived(workspace: Workspace, name: str, segment_mb: int = 16) -> Archive:
    """Make a cluster that archives, with its stanza, and no backup yet."""
    cluster = Cluster(workspace, name, segment_mb)
    pgkeeper = Pgkeeper(cluster, workspace.path / f"{name}-keeper")
    places = {place: make_service_directory(pgkeeper.home / place) for place in ("repository", "spool", "locks", "pgbackrest-logs")}
    configuration = pgkeeper.home / "pgbackrest.conf"
    make_service_directory(pgkeeper.state / "pitr")
    make_service_directory(pgkeeper.state / "pitr" / "attached")
    configuration.write_text(
        CONFIGURATION.format(
            repository=places["repository"],
            spool=places["spool"],
            locks=places["locks"],
            logs=places["pgbackrest-logs"],
            stanza=STANZA,
            data=cluster.data,
            sockets=cluster.socket_directory,
            port=cluster.port,
        )
    )
    pgkeeper.configure(BACKUP_PITR_ENABLED="true", BACKUP_PITR_STANZA=STANZA, BACKUP_PITR_CONFIG_FILE=str(configuration))
    archive = Archive(cluster, pgkeeper, places["repository"], configuration)
    push = " ".join(["pgbackrest", *_where(configuration, pgkeeper), "archive-push", "%p"])
    cluster.stop()
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write(SETTINGS.format(push=push))
    cluster.start()
    archive.pgbackrest("stanza-create")
    return archive


def _where(configuration: Path, pgkeeper: Pgkeeper) -> list[str]:
    return [f"--config={configuration}", f"--config-include-path={pgkeeper.state / 'pitr' / 'attached'}", f"--stanza={STANZA}"]
