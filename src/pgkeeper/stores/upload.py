"""Uploading one object: in parts, several at once, no faster than allowed, and going on where an earlier try was cut off."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain
from typing import Self

from pydantic import BaseModel, ConfigDict

from pgkeeper.crypto.envelope import CHUNK
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.sizes import format_size
from pgkeeper.stores.bandwidth import Bandwidth
from pgkeeper.stores.bucket import Bucket, Sending, SentPart

# S3's own limits.
_MOST_PARTS = 10_000
_MOST_BYTES = 5 << 40
# What is in flight lies in memory.
_IN_FLIGHT_BYTES = 24 << 20
_STEP_SECONDS = 0.2


class UploadedPart(BaseModel):
    """A part the provider has: its number (from 1), size in bytes, the ETag it was given, and the MD5 of what was sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    size: int
    etag: str
    md5: str


class UploadState(BaseModel):
    """How far an upload is, to go on from there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    upload_id: str
    parts: tuple[UploadedPart, ...] = ()


def part_size(size: int) -> int:
    """Return how large the parts of an object of at most `size` bytes are: a multiple of 8 MiB.

    Raises OperationFailed for an object that is larger than S3 takes.
    """
    if size > _MOST_BYTES:
        raise OperationFailed(f"a file of {format_size(size)} cannot be copied off site", f"S3 takes {format_size(_MOST_BYTES)} at most")
    return max(1, -(-size // (_MOST_PARTS * CHUNK))) * CHUNK


def upload(
    bucket: Bucket,
    key: str,
    parts: Iterable[bytes],
    resume: UploadState | None,
    remember: Callable[[UploadState], None],
    *,
    limit: int = 0,
    progress: Callable[[int], None] = lambda _sent: None,
) -> None:
    """Make an object of `parts`, which yields all of them, each of `part_size` bytes but for the last.

    What `resume` says was sent, is still there, and is the same, is not sent again. `remember` is told whenever there is more to resume
    from. `limit` is in bytes a second, 0 for none. `progress` is told how many bytes are there. The first error, or an interruption,
    ends all parts that are under way. Raises what `Bucket` and `parts` raise.
    """
    contents = iter(parts)
    first, second = next(contents, b""), next(contents, None)
    if second is None and resume is None:
        with _Line(limit) as line:
            bucket.put(key, first, line.watch(1))
        progress(len(first))
        return
    contents = chain([first], [] if second is None else [second], contents)
    _Upload(bucket, key, resume, remember, progress).run(contents, limit, len(first))


class _StoppedError(Exception):
    """Nobody wants the upload any more."""


class _Line:
    """The line that all parts share: holds them back, and counts what has gone onto it."""

    def __init__(self, limit: int) -> None:
        self._bandwidth = Bandwidth(limit) if limit else None
        self._stopped = threading.Event()
        self._sent: dict[int, int] = {}

    def watch(self, number: int) -> Sending:
        """Return what watches part `number` being sent."""

        def sending(position: int, count: int) -> None:
            until = time.monotonic() + (self._bandwidth.take(count) if self._bandwidth else 0.0)
            while (left := until - time.monotonic()) > 0 and not self._stopped.is_set():
                time.sleep(min(left, _STEP_SECONDS))
            if self._stopped.is_set():
                raise _StoppedError
            if count:
                self._sent[number] = position + count

        return sending

    def under_way(self, numbers: Iterable[int]) -> int:
        """Return how many bytes of those parts are on their way."""
        return sum(self._sent.get(number, 0) for number in numbers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()


class _Upload:
    """One upload in parts."""

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        resume: UploadState | None,
        remember: Callable[[UploadState], None],
        progress: Callable[[int], None],
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._remember = remember
        self._progress = progress
        there = self._still_there(resume) if resume else None
        self._before: dict[int, UploadedPart] = there or {}
        self._state = UploadState(key=key, upload_id=bucket.begin_upload(key) if resume is None or there is None else resume.upload_id)
        self._done: dict[int, UploadedPart] = {}
        self._pending: dict[Future[UploadedPart], int] = {}
        remember(self._state.model_copy(update={"parts": tuple(self._before.values())}))

    def run(self, contents: Iterable[bytes], limit: int, size: int) -> None:
        """Send what is missing, and put the parts together."""
        at_once = max(1, _IN_FLIGHT_BYTES // size)
        with ThreadPoolExecutor(at_once) as pool, _Line(limit) as line:
            for number, content in enumerate(contents, 1):
                known = self._before.get(number)
                if known is not None and (known.size, known.md5) == (len(content), _md5(content)):
                    self._done[number] = known
                    continue
                self._settle(line, at_once - 1)
                self._pending[pool.submit(self._send, number, content, line)] = number
            self._settle(line, 0)
        sent = [SentPart(part.number, part.size, part.etag) for _, part in sorted(self._done.items())]
        self._bucket.complete_upload(self._key, self._state.upload_id, sent)

    def _settle(self, line: _Line, at_most: int) -> None:
        """Wait until no more than `at_most` parts are under way, telling how far it is. Raises what a part raised."""
        while True:
            done, _ = wait(self._pending, timeout=0 if len(self._pending) <= at_most else _STEP_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                number = self._pending.pop(future)
                self._done[number] = future.result()
            if done:
                self._state = self._state.model_copy(update={"parts": tuple(part for _, part in sorted(self._done.items()))})
                self._remember(self._state)
            self._progress(sum(part.size for part in self._done.values()) + line.under_way(self._pending.values()))
            if len(self._pending) <= at_most:
                return

    def _send(self, number: int, content: bytes, line: _Line) -> UploadedPart:
        sent = self._bucket.send_part(self._key, self._state.upload_id, number, content, line.watch(number))
        return UploadedPart(number=number, size=sent.size, etag=sent.etag, md5=_md5(content))

    def _still_there(self, resume: UploadState) -> dict[int, UploadedPart] | None:
        """Return the parts that can be used again, None when the provider does not know the upload any more."""
        there = self._bucket.sent_parts(resume.key, resume.upload_id)
        if there is None:
            return None
        known = {part.number: (part.size, part.etag) for part in there}
        return {part.number: part for part in resume.parts if known.get(part.number) == (part.size, part.etag)}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
