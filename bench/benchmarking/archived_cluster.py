"""A second PostgreSQL, with the rows of the first, that archives its log as role pgkeeper_wal sets it up."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from .attendant import Attendant
from .certificate import HOST, Certificate
from .cluster import Cluster
from .errors import BenchmarkError
from .left_running import kill_all
from .storage import ENCRYPTION_KEY, KEY, KEY_ID, Storage
from .user import give_to_postgres
from .workspace import Workspace

STANZA = "benchmark"
REPOSITORIES = (1, 2)
SEGMENT_BYTES = 16 << 20

_PATH = "/usr/bin:/bin"
_ARCHIVED_SECONDS = 600
_POLL_SECONDS = 0.01

# Options and settings of the role's templates, in their order; tests/unit/bench holds one against the other.
ARCHIVE_SETTINGS = {"wal_level": "replica", "archive_mode": "on", "archive_timeout": "300", "max_wal_size": "2GB"}
_CONFIGURATION = """[global]
repo1-path={repository}
repo1-bundle=y
repo1-retention-full-type=time
repo1-retention-full=7
compress-type=zst
process-max=2
archive-async=y
archive-timeout=120
start-fast=y
spool-path={spool}
lock-path={locks}
log-path={logs}
log-level-console=warn
log-level-file=info

[{stanza}]
pg1-path={data}
pg1-socket-path={sockets}
pg1-port={port}
"""
_OFF_SITE = """[global]
repo2-type=s3
repo2-path=/pgkeeper/benchmark/wal
repo2-s3-bucket={bucket}
repo2-s3-endpoint={endpoint}
repo2-storage-port={storage_port}
repo2-s3-region=us-east-1
repo2-s3-uri-style=path
repo2-s3-key-type=shared
repo2-s3-key={key_id}
repo2-s3-key-secret={key}
repo2-storage-verify-tls=y
repo2-storage-ca-file={authority}
repo2-cipher-type=aes-256-cbc
repo2-cipher-pass={encryption_key}
repo2-bundle=y
repo2-retention-full-type=time
repo2-retention-full=7
"""


def require_pgbackrest(path: str = _PATH) -> None:
    """Raise BenchmarkError unless there is pgBackRest."""
    if shutil.which("pgbackrest", path=path) is None:
        raise BenchmarkError("pgbackrest is not installed, and recovery to a moment is measured too; apt-get install pgbackrest")


class ArchivedCluster(Cluster):
    """The cluster, as a context manager. Its log goes into a local repository (1), and encrypted into an object storage (2)."""

    def __init__(self, workspace: Workspace, attendant: Attendant, original: Cluster, storage: Storage, certificate: Certificate) -> None:
        """`original` runs while this one is made; the storage shows the certificate."""
        super().__init__(workspace, attendant, "archived")
        self._original = original
        self._state = self.place / "state"
        self._repository = workspace.directory("archived/repository")
        self._configuration = self.place / "pgbackrest.conf"
        self._make_state()
        places = {name: workspace.directory(f"archived/{name}") for name in ("spool", "locks", "logs")}
        local = _CONFIGURATION.format(
            repository=self._repository, **places, stanza=STANZA, data=self.data, sockets=self.sockets, port=self.port
        )
        off_site = _OFF_SITE.format(
            bucket=storage.new_bucket(),
            endpoint=HOST,
            storage_port=storage.port,
            key_id=KEY_ID,
            key=KEY,
            authority=certificate.file,
            encryption_key=ENCRYPTION_KEY,
        )
        for path, text in ((self._configuration, local), (self._off_site, off_site)):
            path.touch(0o600)
            path.write_text(text, encoding="utf-8")
            give_to_postgres(path, 0o600)

    @property
    def _attached(self) -> Path:
        return self._state / "pitr/attached"

    @property
    def _off_site(self) -> Path:
        return self._configuration.with_name("pgbackrest-cloud.conf")

    @property
    def pitr_settings(self) -> dict[str, str]:
        """Settings that let pgkeeper know of the archive."""
        return {
            "BACKUP_STATE_DIR": str(self._state),
            "BACKUP_PITR_ENABLED": "true",
            "BACKUP_PITR_STANZA": STANZA,
            "BACKUP_PITR_CONFIG_FILE": str(self._configuration),
        }

    @property
    def settings(self) -> dict[str, str]:
        """As role pgkeeper_wal has them."""
        return {**super().settings, **ARCHIVE_SETTINGS, "archive_command": " ".join([*self._pgbackrest, "archive-push", "%p"])}

    def make_files(self) -> None:
        """Copy the original's files."""
        copy = ["--pgdata", str(self.data), "--checkpoint=fast", "--wal-method=stream"]
        self._original.run([str(self.binaries / "pg_basebackup"), *copy])

    def __enter__(self) -> Self:
        """Make the cluster, start it, and make its repositories know it."""
        super().__enter__()
        try:
            self.pgbackrest("stanza-create")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def pgbackrest(self, command: str, *options: str) -> str:
        """Run pgBackRest, outside of all measuring, and return what it prints. Raises BenchmarkError with its own words."""
        return self.run([*self._pgbackrest, command, *options])

    @property
    def _pgbackrest(self) -> list[str]:
        return ["pgbackrest", f"--config={self._configuration}", f"--config-include-path={self._attached}", f"--stanza={STANZA}"]

    def tell(self, name: str, value: str | None) -> None:
        """Set a setting while the server runs; None: as it was."""
        self.query(f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = '{value}'")
        self.query("SELECT pg_reload_conf()")

    def end_segment(self) -> str:
        """End the segment that is being written, and return its name; there must be something in it."""
        return self.query("SELECT pg_walfile_name(pg_switch_wal() - 1)")

    def waiting(self) -> list[str]:
        """Return the segments that are full and not archived, the oldest first."""
        # Looked at often while others are measured, and so the cheap way.
        found = os.listdir(self.data / "pg_wal/archive_status")  # noqa: PTH208 - see above
        return sorted(name.removesuffix(".ready") for name in found if name.endswith(".ready"))

    def wait_until_archived(self) -> None:
        """Return at the moment when nothing waits to be archived: pgBackRest says so when both repositories have it.

        Raises BenchmarkError when that takes too long, with what pgBackRest's log says.
        """
        deadline = time.monotonic() + _ARCHIVED_SECONDS
        while self.waiting():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the log was not archived within {_ARCHIVED_SECONDS} s; {self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def require_archived(self, segment: str) -> None:
        """Raise BenchmarkError unless each repository has a segment."""
        for repository in REPOSITORIES:
            if segment not in self.pgbackrest("repo-ls", "--recurse", f"--repo={repository}", f"archive/{STANZA}"):
                raise BenchmarkError(f"segment {segment} counts as archived, and is not in repository {repository}")

    def die(self) -> float:
        """Kill everything of the cluster's and of its pgBackRest, at once; return when that was, as the clock of the machine has it."""
        at = time.time()
        kill_all(self.place)
        return at

    @contextmanager
    def lost(self) -> Iterator[None]:
        """Take away, for as long as the block lasts, what died with the host: data, local repository, and what pgkeeper knew.

        Its settings and pgBackRest's are there again, as a deployment would bring them to the next host.
        """
        places = (self.data, self._repository, self._state)
        for path in places:
            path.rename(path.with_name(f"{path.name}-lost"))
        self._make_state()
        yield
        shutil.rmtree(self._state)
        for path in places:
            path.with_name(f"{path.name}-lost").rename(path)

    def _make_state(self) -> None:
        for path in (self._state, self._attached.parent, self._attached):
            path.mkdir()
            give_to_postgres(path, 0o700)
        self._attached.joinpath("cloud.conf").symlink_to(self._off_site)
