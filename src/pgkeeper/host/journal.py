"""An append-only record of what was begun and done, each line on disk before the next step is taken."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pgkeeper.host.durable import fsync_directory
from pgkeeper.host.logs import log
from pgkeeper.model.errors import OperationFailed

Entry = TypeVar("Entry", bound=BaseModel)


class Journal:
    """One piece of work's record: a JSON object a line, in a file that only grows.

    A line that was being written when the machine went down is cut short; it does not count, and the next one begins anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write an entry and return when it is on disk. Raises OperationFailed when that can't be; then the step must not be taken."""
        line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if self._is_cut_short(descriptor):
                    line = b"\n" + line
                if os.write(descriptor, line) != len(line):
                    raise OperationFailed(f"cannot write {self.path}", "only a part was written", "free some space")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                fsync_directory(self.path.parent)
        except OSError as error:
            raise OperationFailed(f"cannot write {self.path}", error.strerror or "", "it must belong to postgres and have space") from error

    def entries(self) -> list[dict[str, Any]]:
        """Return all whole entries, the oldest first; none when there is no such file. Raises OperationFailed when it can't be read."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OperationFailed(f"cannot read {self.path}", error.strerror or "") from error
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def entries_as(self, shape: type[Entry]) -> list[Entry]:
        """Return the entries that are of this shape; what another version of pgkeeper wrote and nobody understands is left out, and logged.

        Raises OperationFailed when the file can't be read.
        """
        found = []
        for line in self.entries():
            try:
                found.append(shape.model_validate(line))
            except ValidationError as error:
                log.warning("a line of a journal cannot be understood", path=str(self.path), error=type(error).__name__)
        return found

    @staticmethod
    def _is_cut_short(descriptor: int) -> bool:
        size = os.fstat(descriptor).st_size
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
