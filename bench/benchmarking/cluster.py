"""A PostgreSQL of the benchmark's own: Debian's programs, a private port, settings as in production."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from .attendant import Attendant, Server
from .errors import BenchmarkError
from .user import USER, as_postgres
from .workspace import Workspace

_DEBIAN_ROOT = Path("/usr/lib/postgresql")
_START_SECONDS = 60
_STOP_SECONDS = 120

# Durability and autovacuum stay as PostgreSQL has them: on.
SETTINGS = {"shared_buffers": "256MB", "max_connections": "40"}

_ACCESS = f"local all,replication {USER} peer map=owner\nhost all all 127.0.0.1/32 scram-sha-256\nlocal all all scram-sha-256\n"
_IDENTITIES = f"owner {USER} {USER}\n"


def server_binaries() -> Path:
    """Return the `bin` directory of the newest PostgreSQL here. Raises BenchmarkError when there is none."""
    found = sorted(_DEBIAN_ROOT.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise BenchmarkError(f"no PostgreSQL server under {_DEBIAN_ROOT}; apt-get install postgresql")
    return found[-1].parent


class Cluster:
    """A running server, as a context manager; `environment` leads libpq's clients to it. Its files are in a directory of its `name`."""

    def __init__(self, workspace: Workspace, attendant: Attendant, name: str = "cluster") -> None:
        self.binaries = server_binaries()
        self.place = workspace.directory(name, 0o755)
        self.data = workspace.directory(f"{name}/data")
        self._attendant = attendant
        self._socket = workspace.directory(f"{name}/run", 0o755)
        self._log = self.place / "server.log"
        self._port = _free_port()
        self._server: Server | None = None

    @property
    def environment(self) -> dict[str, str]:
        """All that a client needs in its environment, and nothing else."""
        return {
            "PATH": f"{self.binaries}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "PGHOST": str(self._socket),
            "PGPORT": str(self._port),
            "PGUSER": USER,
        }

    @property
    def port(self) -> int:
        """The port, for programs that want it said."""
        return self._port

    @property
    def sockets(self) -> Path:
        """The directory of its socket."""
        return self._socket

    def __enter__(self) -> Self:
        """Make the cluster and start it."""
        self.make_files()
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in self.settings.items())
        (self.data / "pg_hba.conf").write_text(_ACCESS, encoding="ascii")
        (self.data / "pg_ident.conf").write_text(_IDENTITIES, encoding="ascii")
        try:
            self.start()
        except BaseException:
            self._stop()
            raise
        return self

    @property
    def settings(self) -> dict[str, str]:
        """What the server is told; the rest is as PostgreSQL has it."""
        return {
            **SETTINGS,
            "port": str(self._port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._socket),
            "cluster_name": f"{self.binaries.parent.name}/benchmark",
        }

    def make_files(self) -> None:
        """Fill the data directory. Raises BenchmarkError."""
        initdb = ["--pgdata", str(self.data), "--encoding=UTF8", "--locale=C.UTF-8", "--auth=peer", f"--username={USER}"]
        self.run([str(self.binaries / "initdb"), *initdb])

    def start(self) -> None:
        """Start the server, and return when it answers. Raises BenchmarkError with its last words when it does not."""
        self._server = self._attendant.start([str(self.binaries / "postgres"), "-D", str(self.data)], self.environment, self._log)
        self._wait_until_it_answers(self._server)

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None) -> None:
        """Stop the server, ending all its sessions."""
        self._stop()

    def query(self, statement: str, database: str = "postgres", extra: Mapping[str, str] | None = None) -> str:
        """Run SQL as the superuser and return what it says, without headings; `extra` leads to another server. Raises BenchmarkError."""
        psql = [str(self.binaries / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]
        return self.run(psql, statement, extra).strip()

    def run(self, arguments: list[str], text: str = "", extra: Mapping[str, str] | None = None) -> str:
        """Run a program as postgres, outside of all measuring, and return its output. Raises BenchmarkError with its own words."""
        done = subprocess.run(
            arguments,
            **as_postgres(),
            cwd="/",
            env={**self.environment, **(extra or {})},
            input=text.encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            words = (done.stderr + done.stdout).decode(errors="replace").strip()
            raise BenchmarkError(f"{Path(arguments[0]).name} failed: {words or f'exit status {done.returncode}'}")
        return done.stdout.decode(errors="replace")

    def create_database(self, name: str) -> None:
        """Make an empty database."""
        self.query(f'CREATE DATABASE "{name}" TEMPLATE template0')

    def drop_database(self, name: str) -> None:
        """Drop a database, ending its sessions; nothing happens when it isn't there."""
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def settle(self) -> None:
        """Bring to disk what earlier work left to be written, so that the next one does not pay for it."""
        self.query("CHECKPOINT")
        os.sync()

    def _wait_until_it_answers(self, server: Server) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.query("SELECT 1")
            except BenchmarkError as error:
                if server.ended() or time.monotonic() > deadline:
                    raise BenchmarkError(f"the server did not start: {self._last_words() or error}") from None
                time.sleep(0.1)
            else:
                return

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "; ".join(lines[-3:])

    def _stop(self) -> None:
        if self._server is None:
            return
        self._server.signal(signal.SIGINT)
        if not self._server.ended(_STOP_SECONDS):
            self._server.signal(signal.SIGQUIT)
            self._server.ended(_STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
