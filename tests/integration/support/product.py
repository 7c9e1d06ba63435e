"""Calling pgkeeper as its users do: as a program, with settings of its own, for one test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from .binaries import server_directory
from .cluster import Cluster
from .processes import children_of, command_line, processes_with_environment, sandboxed_processes
from .user import SERVICE_USER, make_service_directory, run_as_service_user, service_ids
from .waiting import wait_until

SOURCE = Path(__file__).parents[3] / "src"

DONE, FAILED, USAGE, CONFIGURATION, INTEGRITY, BUSY, REFUSED = range(7)


@dataclass(frozen=True)
class Run:
    """What one call of the program answered."""

    arguments: tuple[str, ...]
    exit_status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Everything it said, for people and messages."""
        return f"$ pgkeeper {' '.join(self.arguments)}\n{self.stdout}{self.stderr}[exit status {self.exit_status}]"

    @property
    def json(self) -> Any:  # noqa: ANN401 - a document of any shape
        """The one document on standard output; fails when there is anything else."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            raise AssertionError(f"no JSON document alone: {self.output}") from None

    @property
    def error(self) -> str:
        """The one line that says what went wrong; fails unless it is the only one, and the last of standard error."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("pgkeeper: ")]
        errors = [line for line in lines if not line.startswith("pgkeeper: warning: ")]
        assert len(errors) == 1, f"expected one line of error: {self.output}"
        assert self.stderr.splitlines()[-1] == errors[0], f"the error is not the last line: {self.output}"
        return errors[0]

    @property
    def warnings(self) -> str:
        """The warnings, if any."""
        return "\n".join(line for line in self.stderr.splitlines() if line.startswith("pgkeeper: warning: "))

    def exits(self, status: int) -> Run:
        """Return itself; fails unless the exit status is `status`."""
        assert self.exit_status == status, f"expected exit status {status}: {self.output}"
        return self

    def outcome(self, database: str) -> dict[str, Any]:
        """What the report says of one database."""
        found = [outcome for outcome in self.json["outcomes"] if outcome["database"] == database]
        assert len(found) == 1, f"expected one outcome of {database!r}: {self.output}"
        return dict(found[0])


class Running:
    """A call that has not ended yet."""

    def __init__(self, arguments: tuple[str, ...], process: subprocess.Popen[str]) -> None:
        self._arguments = arguments
        self.process = process

    @property
    def pid(self) -> int:
        """Process id of the program itself."""
        return self.process.pid

    def wait_for_child(self, name: str) -> int:
        """Process id of its (grand)child program called `name`, as soon as there is one."""

        def find() -> int | None:
            assert self.process.poll() is None, f"ended early: {self.result().output}"
            found = [pid for pid, command in children_of(self.pid) if command == name]
            return found[0] if found else None

        return int(wait_until(find, f"{name} under pgkeeper") or 0)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def result(self, seconds: float = 60) -> Run:
        """Its answer, once it has ended."""
        stdout, stderr = self.process.communicate(timeout=seconds)
        return Run(self._arguments, self.process.returncode, stdout, stderr)

    def end(self) -> None:
        """Make sure that nothing of it runs on."""
        family = [self.pid, *(pid for pid, _ in children_of(self.pid))]
        if self.process.poll() is None:
            for pid in family:
                # It may end by itself meanwhile, as what it worked for has ended.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                    os.kill(pid, signal.SIGKILL)
        self.process.communicate()


class Pgkeeper:
    """The program with its own backup, state, log and temporary directories, and its own settings file."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self.cluster = cluster
        self.owner = service_ids()
        self.compiled = home.parent / "compiled"
        self.home = make_service_directory(home, 0o755)
        self.backups = make_service_directory(home / "backups")
        self.state = make_service_directory(home / "state")
        self.logs = make_service_directory(home / "logs")
        self.temporary = make_service_directory(home / "tmp")
        self.proofs = self.state / "proofs"
        self.settings_file = home / "pgkeeper.env"
        self.settings: dict[str, str] = {}
        self.databases: set[str] = set()
        """Databases that belong to the test and go with it."""
        self.configure(
            BACKUP_PROJECT_NAME="Zoo",
            BACKUP_DIR=str(self.backups),
            BACKUP_STATE_DIR=str(self.state),
            BACKUP_LOG_DIR=str(self.logs),
            **cluster.environment(),
        )

    def configure(self, **changes: str | None) -> None:
        """Change the settings file; None removes a setting."""
        self.settings.update({name: value for name, value in changes.items() if value is not None})
        for name, value in changes.items():
            if value is None:
                self.settings.pop(name, None)
        quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in self.settings.items()}
        self.settings_file.write_text("".join(f"{name}='{value}'\n" for name, value in quoted.items()))
        self.settings_file.chmod(0o600)
        os.chown(self.settings_file, *service_ids())

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment it is called in: nearly none, as from cron."""
        return {
            "PATH": f"{server_directory()}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(SOURCE),
            # Calls of the whole session share what was compiled; nothing is written into the checkout.
            "PYTHONPYCACHEPREFIX": str(self.compiled),
            "PGKEEPER_ENV_FILE": str(self.settings_file),
            **(extra or {}),
        }

    def program(self, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program that uses the product's code, as the service user and in the product's environment."""
        return run_as_service_user([sys.executable, "-c", text, *arguments], self.environment())

    @contextmanager
    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, user: str = SERVICE_USER, within: Sequence[str] = ()
    ) -> Iterator[Running]:
        """Start a call and go on; when the block ends, so has the call. `within` is a command that runs it."""
        process = subprocess.Popen(
            [*within, sys.executable, "-m", "pgkeeper", *arguments],
            user=user,
            group=user if user != "nobody" else "nogroup",
            extra_groups=[],
            cwd="/",
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        running = Running(arguments, process)
        try:
            yield running
        finally:
            running.end()

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        user: str = SERVICE_USER,
        seconds: float = 300,
        within: Sequence[str] = (),
    ) -> Run:
        """Call it and return its answer."""
        with self.start(*arguments, env=env, user=user, within=within) as running:
            run = running.result(seconds)
        assert "Traceback" not in run.stdout + run.stderr, run.output
        return run

    def create_database(self, name: str, script: str = "create table t as select generate_series(1, 100) as n;") -> str:
        """Make a database that lives as long as the test; returns its name."""
        self.databases.add(name)
        self.cluster.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        self.cluster.psql(name, script)
        return name

    def backup(self, database: str) -> str:
        """Back up one database, which must succeed; returns the backup's id."""
        run = self("backup", "--database", database, "--json").exits(DONE)
        return str(run.outcome(database)["backup_id"])

    def restore(self, backup_id: str, *arguments: str) -> dict[str, Any]:
        """Restore a backup beside the original, which must succeed; returns the report."""
        report = self("restore", backup_id, *arguments, "--json").exits(DONE).json
        self.databases.add(report["target"])
        return dict(report)

    def processes(self) -> list[str]:
        """Command lines of whatever this test's calls started and left running."""
        ours = processes_with_environment("PGKEEPER_ENV_FILE", str(self.settings_file))
        clients = processes_with_environment("PGHOST", str(self.cluster.socket_directory))
        return ours + clients + [command_line(pid) for pid in sandboxed_processes(self.home)]

    def published(self) -> list[Path]:
        """Directories of whole backups, oldest first by name."""
        return sorted(path.parent for path in self.backups.rglob("manifest.json") if not hidden(path, self.backups))

    def debris(self) -> list[Path]:
        """Everything in the backup, temporary and proof directories that is not part of a whole backup, or of keeping order.

        Files outside a backup may only be small notes about host and owner; a hidden directory is one being built.
        """
        whole = self.published()
        places = {parent for path in whole for parent in path.parents}
        unfinished = [
            path
            for root in (self.backups, self.temporary)
            for path in sorted(root.rglob("*"))
            if not any(path == backup or backup in path.parents for backup in whole)
            and path not in places
            and (hidden(path, root) or path.suffix in {".gz", ".dump", ".tmp", ".partial"} or root == self.temporary)
        ]
        return unfinished + sorted(self.proofs.glob("*"))


def hidden(path: Path, root: Path) -> bool:
    """Whether `path` or a directory between it and `root` has a name that begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def fingerprint(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below `directory` with inode, time of change and content: whatever happens to it shows."""
    return {
        str(path.relative_to(directory)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
