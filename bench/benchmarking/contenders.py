"""The steps that are measured: pgkeeper's, and those of the tools it is held against. All run as postgres, over the same socket."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from . import comparisons as names
from .calls import Calls, Pgkeeper, as_sample
from .cluster import Cluster
from .measure import Usage
from .results import Sample
from .storage import ENCRYPTION_KEY, Storage, Storages
from .workspace import Workspace

_COPY = "benchmark_copy"
_UPLOADER = Path(__file__).with_name("plain_upload.py")
_DUMP_FILE = "database.sql.gz"
# As an owner would write it in a script.
_ENCRYPT = 'openssl enc -aes-256-cbc -salt -pbkdf2 -pass env:BACKUP_ENCRYPTION_KEY -in "$1" -out "$2"'


class Contenders:
    """Each step is a method that prepares, measures, and clears up. What a step makes stays until it makes it again."""

    def __init__(
        self, pgkeeper: Pgkeeper, cluster: Cluster, storages: Storages, workspace: Workspace, database: str, sql_bytes: int
    ) -> None:
        self._pgkeeper = pgkeeper
        self._calls = Calls(pgkeeper, cluster)
        self._cluster = cluster
        self._storages = storages
        self._place = workspace.directory("dumps")
        self._database = database
        self._sql_bytes = sql_bytes
        self._backup_id = ""
        self._backup: Path | None = None
        self._bucket = storages.near.new_bucket()
        self._copied_id = ""

    def steps(self) -> dict[str, Callable[[], Sample]]:
        """Return what is measured, by name."""
        return {
            names.BACKUP: self.backup,
            names.DUMP: self._dump,
            names.DUMP_GZIP: self._dump_gzip,
            names.DUMP_DIRECTORY: self._dump_directory,
            names.VERIFY: lambda: self._verify("contents"),
            names.SYNC_LINE: self._sync_through_line,
            names.UPLOAD_LINE: lambda: self._upload(self._storages.far),
            names.SYNC: self.sync,
            names.UPLOAD: lambda: self._upload(self._storages.near),
            names.ENCRYPT_UPLOAD: self._encrypt_upload,
            names.RESTORE: self._restore,
            names.RESTORE_OFF_SITE: self.restore_off_site,
            names.PSQL: self._psql,
            names.PG_RESTORE: self._pg_restore,
            names.PROVE: lambda: self._verify("restore"),
        }

    def backup(self, database: str = "") -> Sample:
        """Back a database up; the backup before goes."""
        usage, report = self._calls.pgkeeper("backup", "--database", database or self._database)
        outcome = report["outcomes"][0]
        self.forget_backup()
        self._backup_id, self._backup = outcome["backup_id"], Path(outcome["path"])
        return as_sample(usage, outcome["size_bytes"], own=True)

    def forget_backup(self) -> None:
        """Remove the last backup."""
        if self._backup is not None:
            shutil.rmtree(self._backup)
            self._backup = None

    def sync(self) -> Sample:
        """Copy the last backup into a bucket that has nothing; the copy before goes."""
        self.forget_copy()
        self._bucket = self._storages.near.new_bucket()
        sample, self._copied_id = self._synced(self._storages.near, self._bucket)
        return sample

    def forget_copy(self) -> None:
        """Remove what is off site."""
        self._storages.near.remove(self._bucket)

    def restore_off_site(self) -> Sample:
        """Restore the last copy beside the original."""
        more = self._storages.near.pgkeeper_environment(self._bucket)
        usage, _report = self._calls.pgkeeper("restore", self._copied_id, "--from", "cloud", "--to", _COPY, more=more)
        return self._restored(usage, own=True)

    def version(self) -> float:
        """Return how many seconds `pgkeeper --version` takes."""
        return self._calls.measured(self._pgkeeper.arguments("--version"), self._pgkeeper.environment).wall_seconds

    def _verify(self, level: str) -> Sample:
        usage, _report = self._calls.pgkeeper("verify", self._backup_id, "--level", level)
        return as_sample(usage, None, own=True)

    def _restore(self) -> Sample:
        usage, _report = self._calls.pgkeeper("restore", self._backup_id, "--to", _COPY)
        return self._restored(usage, own=True)

    def _dump(self) -> Sample:
        return as_sample(self._client("pg_dump", "-d", self._database), self._sql_bytes)

    def _dump_gzip(self) -> Sample:
        target = self._gone("dump.sql.gz")
        usage = self._shell('pg_dump -d "$1" | gzip >"$2"', self._database, target)
        return as_sample(usage, target.stat().st_size)

    def _dump_directory(self) -> Sample:
        target = self._gone("dump")
        usage = self._client("pg_dump", "--format=directory", "--jobs=2", f"--file={target}", "-d", self._database)
        return as_sample(usage, sum(path.stat().st_size for path in target.iterdir()))

    def _psql(self) -> Sample:
        self._cluster.create_database(_COPY)
        return self._restored(self._shell('zcat "$2" | psql -X -q -v ON_ERROR_STOP=1 -d "$1"', _COPY, self._place / "dump.sql.gz"))

    def _pg_restore(self) -> Sample:
        self._cluster.create_database(_COPY)
        return self._restored(self._client("pg_restore", "--exit-on-error", "--jobs=2", "-d", _COPY, str(self._place / "dump")))

    def _sync_through_line(self) -> Sample:
        bucket = self._storages.far.new_bucket()
        sample, _copied_id = self._synced(self._storages.far, bucket)
        self._storages.far.remove(bucket)
        return sample

    def _synced(self, storage: Storage, bucket: str) -> tuple[Sample, str]:
        """Copy the last backup into a bucket that has nothing; returns its id as well."""
        assert self._backup is not None
        _into_memory(self._backup)
        usage, report = self._calls.pgkeeper("sync", more=storage.pgkeeper_environment(bucket))
        (outcome,) = report["outcomes"]
        return as_sample(usage, outcome["size_bytes"], own=True, sending=outcome["seconds"]), outcome["backup_id"]

    def _upload(self, storage: Storage) -> Sample:
        assert self._backup is not None
        _into_memory(self._backup)
        return self._uploading(storage, self._backup / _DUMP_FILE, [])

    def _encrypt_upload(self) -> Sample:
        source, target = self._place / "dump.sql.gz", self._gone("dump.sql.gz.enc")
        encrypt = ["bash", "-c", f'{_ENCRYPT} && shift 2 && exec "$@"', "bash", str(source), str(target)]
        return self._uploading(self._storages.near, target, encrypt)

    def _uploading(self, storage: Storage, path: Path, before: Sequence[str]) -> Sample:
        """Upload a file, after what comes before it, and remove it from the bucket again."""
        bucket = storage.new_bucket()
        environment = {**self._cluster.environment, **storage.boto3_environment, "BACKUP_ENCRYPTION_KEY": ENCRYPTION_KEY}
        usage, told = self._calls.told([*before, *storage.python, str(_UPLOADER), storage.url, bucket, str(path)], environment)
        storage.remove(bucket)
        return as_sample(usage, path.stat().st_size, sending=told["seconds"])

    def _restored(self, usage: Usage, *, own: bool = False) -> Sample:
        size = int(self._cluster.query(f"SELECT pg_database_size('{_COPY}')"))
        self._cluster.drop_database(_COPY)
        return as_sample(usage, size, own=own)

    def _gone(self, name: str) -> Path:
        """Return a place for a dump, without the one that was there."""
        path = self._place / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        return path

    def _client(self, program: str, *options: str) -> Usage:
        return self._calls.measured([str(self._cluster.binaries / program), *options], self._cluster.environment)

    def _shell(self, pipeline: str, *values: object) -> Usage:
        arguments = ["bash", "-c", f"set -o pipefail; {pipeline}", "bash", *map(str, values)]
        return self._calls.measured(arguments, self._cluster.environment)


def _into_memory(directory: Path) -> None:
    """Read all files of a directory, so that nobody who does the same next waits for the disk, or nobody alone."""
    for path in directory.iterdir():
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
