"""Do with a number of backups, all of them off site as well, what people do every day, and print how much work each command was.

Work is counted, so that a busy machine changes nothing: files opened, directories listed, requests to the bucket, and functions called. It
is a process of its own, since what watches it stays for good: `python -m tests.unit.operations.work_counted DIRECTORY COUNT`.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgkeeper.operations.doctor import doctor
from pgkeeper.operations.expire import expire
from pgkeeper.operations.listing import list_backups
from pgkeeper.operations.status import status
from pgkeeper.operations.sync import SyncRequest, sync
from pgkeeper.settings import Settings, load_settings
from pgkeeper.stores import s3
from pgkeeper.stores.bucket import ObjectGoneError, ObjectInfo, UnfinishedUpload
from tests.integration.support.many_backups import fill_store

PAGE = 1000
"""That many objects providers list at a request."""
WATCHED = {"open": "files", "os.listdir": "directories", "os.scandir": "directories"}
HOST = "db1"
KEY = b"k" * 32


class Work:
    """Counts, while it is asked to, what the process does."""

    def __init__(self) -> None:
        self.counted: Counter[str] | None = None
        sys.addaudithook(self._audit)

    def count(self, kind: str) -> None:
        """Count one piece of work of that kind."""
        if self.counted is not None:
            self.counted[kind] += 1

    def of(self, command: Callable[[], object]) -> dict[str, int]:
        """Return how much of each kind of work a command is when it is done once more: what is done at the first time only is left out."""
        command()
        self.counted = found = Counter[str]()
        sys.setprofile(self._call)
        try:
            command()
        finally:
            sys.setprofile(None)
            self.counted = None
        return dict(found)

    def _audit(self, event: str, _arguments: object) -> None:
        if event in WATCHED:
            self.count(WATCHED[event])

    def _call(self, _frame: object, event: str, _argument: object) -> None:
        if event == "call":
            self.count("calls")


class CountedBucket:
    """A bucket in memory, as far as these commands use one; what would be a request is counted."""

    name = "s3://copies/pgkeeper"

    def __init__(self, work: Work) -> None:
        self._work = work
        self._objects: dict[str, tuple[bytes, datetime]] = {}

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for number, key in enumerate(key for key in sorted(self._objects) if key.startswith(prefix)):
            if number % PAGE == 0:
                self._work.count("requests")
            yield self._info(key)

    def head(self, key: str) -> ObjectInfo | None:
        self._work.count("requests")
        return self._info(key) if key in self._objects else None

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self._work.count("requests")
        if key not in self._objects:
            raise ObjectGoneError(f"{key} is not there")
        yield self._objects[key][0][start:end]

    def put(self, key: str, content: bytes, _sending: object = None) -> None:
        self._work.count("requests")
        self._objects[key] = content, datetime.now(UTC)

    def delete(self, key: str) -> None:
        self._work.count("requests")
        self._objects.pop(key, None)

    def begin_upload(self, _key: str) -> str:
        self._work.count("requests")
        return "1"

    def abort_upload(self, _key: str, _upload_id: str) -> None:
        self._work.count("requests")

    def unfinished_uploads(self, _prefix: str = "") -> tuple[UnfinishedUpload, ...]:
        self._work.count("requests")
        return ()

    def clock_skew(self) -> float:
        self._work.count("requests")
        return 0.0

    def _info(self, key: str) -> ObjectInfo:
        content, written_at = self._objects[key]
        return ObjectInfo(key, len(content), written_at, "STANDARD")


class Silent:
    """Progress that nobody watches."""

    def phase(self, name: str) -> None: ...

    def advance(self, done_bytes: int, total_bytes: int | None) -> None: ...

    def note(self, text: str) -> None: ...


def prepared(directory: Path, count: int) -> Settings:
    """Return the settings of a host with so many backups and no server."""
    places = {name: directory / name for name in ("backups", "state", "logs")}
    for place in places.values():
        place.mkdir(mode=0o700)
    (places["state"] / "host-identity").write_text(f"{HOST}\n")
    (places["state"] / "seal.key").write_bytes(KEY)
    fill_store(places["backups"], HOST, count, key=KEY)
    return load_settings(
        {
            "PGKEEPER_ENV_FILE": "/dev/null",
            "PGHOST": str(directory),
            "BACKUP_DIR": str(places["backups"]),
            "BACKUP_STATE_DIR": str(places["state"]),
            "BACKUP_LOG_DIR": str(places["logs"]),
            "BACKUP_CLOUD_ENABLED": "true",
            "BACKUP_CLOUD_PROVIDER": "backblaze",
            "BACKUP_CLOUD_ENDPOINT_URL": "https://s3.eu-central-003.backblazeb2.com",
            "BACKUP_ENCRYPTION_KEY": "Zq3vX9kL0pWm7RtYb2Nc5HsJd8Gf1Ae4UoQiBxTzMw=",
            "BACKBLAZE_BUCKET_NAME": "copies",
            "BACKBLAZE_KEY_ID": "id",
            "BACKBLAZE_APPLICATION_KEY": "key",
        }
    )


def main(directory: Path, count: int) -> dict[str, dict[str, int]]:
    """Return the work of each command, by its name."""
    # Nothing here has to outlive a crash, and disks may be slow.
    os.fsync = lambda fd: None  # noqa: ARG005 - the name is the system's
    settings = prepared(directory, count)
    work = Work()
    bucket: Any = CountedBucket(work)
    s3.S3Bucket = lambda _settings, _patience: bucket  # type: ignore[assignment, misc]
    report = sync(SyncRequest(), settings, Silent())
    assert (report.exit_status, report.stores[0].copies) == (0, count), report
    commands: dict[str, Callable[[], object]] = {
        "list": lambda: list_backups(settings),
        "status": lambda: status(settings),
        "expire --dry-run": lambda: expire(settings, dry_run=True),
        "doctor": lambda: doctor(settings),
        "sync": lambda: sync(SyncRequest(), settings, Silent()),
    }
    return {name: work.of(command) for name, command in commands.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
