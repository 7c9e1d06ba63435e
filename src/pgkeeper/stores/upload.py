"""Sending an object in parts, so that what was cut off goes on where it was, and memory stays as it is."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain
from queue import Empty, SimpleQueue

from pydantic import BaseModel, ConfigDict

from pgkeeper.crypto.envelope import CHUNK
from pgkeeper.model.errors import IntegrityError, UsageError
from pgkeeper.stores.aside import aside
from pgkeeper.stores.bandwidth import Bandwidth
from pgkeeper.stores.bucket import Bucket, SentPart, TooManyPartsError, UploadGoneError

MOST_PARTS = 10_000
LARGEST = 5 << 40
_AT_ONCE = 4
_MEMORY = 64 << 20
_GRACE_SECONDS = 1.0


class UploadedPart(BaseModel):
    """A part that the provider has: its size in bytes, the provider's ETag, and the MD5 of what was sent."""

    model_config = ConfigDict(frozen=True)

    size: int
    etag: str
    md5: str


class UploadState(BaseModel):
    """How far an upload is: its `parts` from the first one on, without a gap. `whole`: there are no others."""

    model_config = ConfigDict(frozen=True)

    key: str
    upload_id: str
    parts: tuple[UploadedPart, ...] = ()
    whole: bool = False


def part_size(total: int, most: int = MOST_PARTS) -> int:
    """Return in what parts to send an object of `total` bytes: a multiple of 8 MiB, so that there are at most `most`.

    Raises UsageError for more than 5 TiB, which no provider takes.
    """
    if total > LARGEST:
        raise UsageError(f"an object of {total} bytes is too large for a bucket", f"providers take {LARGEST} bytes at most")
    return max(-(-total // (most * CHUNK)), 1) * CHUNK


class Limits:
    """What limits uploads to one store: `bandwidth`, and how many parts the provider takes of one of them.

    `most_parts` is known from before, None where it is the usual 10,000; `learned` is told when it was found to be less.
    """

    def __init__(
        self,
        bandwidth: Bandwidth | None = None,
        most_parts: int | None = None,
        learned: Callable[[int], None] = lambda _most: None,
    ) -> None:
        self.bandwidth = bandwidth
        self.most_parts = most_parts or MOST_PARTS
        self._learned = learned

    def lower_parts(self, most: int) -> None:
        """Take note that the provider takes no more than `most` parts."""
        self.most_parts = min(self.most_parts, most)
        self._learned(self.most_parts)


def upload_within(
    bucket: Bucket,
    key: str,
    total: int,
    cut: Callable[[int], Iterable[bytes]],
    limits: Limits,
    resume: UploadState | None,
    remember: Callable[[UploadState | None], None],
    progress: Callable[[int], None] = lambda _done: None,
) -> None:
    """Make the object `key` of at most `total` bytes, as `upload` does, in parts that `cut` makes of a size it is given.

    Where the provider takes fewer parts than it needs, all is sent again in larger ones: parts of an upload are of one size. `remember` is
    then told that nothing is on its way any more.
    """
    state = resume

    def note(grown: UploadState | None) -> None:
        nonlocal state
        state = grown
        remember(grown)

    while True:
        size = part_size(total, limits.most_parts)
        try:
            upload(bucket, key, cut(size), state, note, bandwidth=limits.bandwidth, progress=progress)
        except TooManyPartsError as refused:
            limits.lower_parts(refused.most)
            if part_size(total, limits.most_parts) == size:
                # It refuses a part that it has to take.
                raise
            begun = state
            note(None)
            if begun is not None:
                bucket.abort_upload(key, begun.upload_id)
        else:
            return


def upload(
    bucket: Bucket,
    key: str,
    parts: Iterable[bytes],
    resume: UploadState | None,
    remember: Callable[[UploadState], None],
    *,
    bandwidth: Bandwidth | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> None:
    """Make the object `key` of `parts`, all of the same size but for a shorter last one.

    `parts` always begins with the first one and is read to its end; what `resume` (the state that an earlier, interrupted call gave to
    `remember`) says was sent, and the provider still has, is not sent again. `remember` is called whenever the state has grown; the caller
    must have made it durable on return. `progress` is told the bytes the provider has or is being sent. A single part of less than 8 MiB is
    written at once, without a state.

    The first error ends everything and is raised: what `parts`, `remember`, `progress` or the bucket raise. The state is good for another
    try. At most four parts, and of those larger than 16 MiB fewer, are in memory.
    """
    source = iter(parts)
    first = next(source, b"")
    sender = _Sender(bucket, key, bandwidth, progress)
    if len(first) < CHUNK:
        if next(source, None) is not None:
            raise ValueError("only the last part may be smaller than 8 MiB")
        if resume is not None:
            bucket.abort_upload(key, resume.upload_id)
        sender.put(first)
        return
    state = _state_to_begin_with(bucket, key, resume)
    if state.whole:
        _require_same(bucket, state, chain((first,), source), remember)
        progress(sum(part.size for part in state.parts))
    else:
        _Upload(sender, state, remember).send(first, source)


def _state_to_begin_with(bucket: Bucket, key: str, resume: UploadState | None) -> UploadState:
    """Return the state without what the provider has lost, or that of a new upload."""
    if resume is not None and resume.key == key:
        sent = bucket.sent_parts(key, resume.upload_id)
        if sent is not None:
            there = {part.number: (part.size, part.etag) for part in sent}
            kept = 0
            while kept < len(resume.parts) and there.get(kept + 1) == (resume.parts[kept].size, resume.parts[kept].etag):
                kept += 1
            return resume.model_copy(update={"parts": resume.parts[:kept], "whole": False})
        if resume.whole:
            with suppress(UploadGoneError):
                # All was sent; maybe it was completed, and whoever did it died before it could say so.
                bucket.complete_upload(key, resume.upload_id, _sent(resume))
                return resume
    return UploadState(key=key, upload_id=bucket.begin_upload(key))


def _require_same(bucket: Bucket, state: UploadState, contents: Iterable[bytes], remember: Callable[[UploadState], None]) -> None:
    """Raise IntegrityError when the object that an earlier call made is not made of these contents."""
    if [md5(content) for content in contents] != [part.md5 for part in state.parts]:
        remember(state.model_copy(update={"parts": (), "whole": False}))
        raise IntegrityError(f"{bucket.name}/{state.key} is not what was to be uploaded", "other parts were sent", "upload it again")


def _sent(state: UploadState) -> tuple[SentPart, ...]:
    return tuple(SentPart(number, part.size, part.etag) for number, part in enumerate(state.parts, 1))


class _StoppedError(Exception):
    """Another part has failed, or the upload was interrupted."""


class _Sender:
    """Sends bodies at the pace that is allowed, counts their bytes, and stops at once when told to."""

    def __init__(self, bucket: Bucket, key: str, bandwidth: Bandwidth | None, progress: Callable[[int], None]) -> None:
        self.bucket = bucket
        self.key = key
        self.stopped = threading.Event()
        self._bandwidth = bandwidth
        self._progress = progress
        self._lock = threading.Lock()
        self._done: dict[int, int] = {}
        self._total = 0

    def put(self, content: bytes) -> None:
        """Write the object as a whole."""
        self.bucket.put(self.key, content, lambda position, count: self._sending(1, position, count))
        self.count(1, len(content))

    def part(self, upload_id: str, number: int, content: bytes) -> UploadedPart:
        """Send one part."""
        sent = self.bucket.send_part(self.key, upload_id, number, content, lambda position, count: self._sending(number, position, count))
        return UploadedPart(size=sent.size, etag=sent.etag, md5=sent.md5)

    def count(self, number: int, done: int) -> None:
        """Take in how many bytes of a part are there; a body that is sent again takes nothing back."""
        with self._lock:
            grown = done - self._done.get(number, 0)
            if grown > 0:
                self._done[number] = done
                self._total += grown
                self._progress(self._total)

    def _sending(self, number: int, position: int, count: int) -> None:
        if self._bandwidth is not None and count:
            self.stopped.wait(self._bandwidth.take(count))
        if self.stopped.is_set():
            raise _StoppedError
        self.count(number, position + count)


class _Upload:
    """One upload in parts, several of them on the line."""

    def __init__(self, sender: _Sender, state: UploadState, remember: Callable[[UploadState], None]) -> None:
        self._sender = sender
        self._known = state.parts
        self._state = state
        self._remember = remember
        self._flying: dict[int, Future[UploadedPart]] = {}
        # An interruption while one waits for futures may leave their locks held for ever (host/workers.py).
        self._arrived: SimpleQueue[int] = SimpleQueue()
        self._landed: dict[int, UploadedPart] = {}

    def send(self, first: bytes, rest: Iterator[bytes]) -> None:
        """Send all parts that are not known to be there, and make the object of them."""
        try:
            self._remember(self._state)
            at_once = max(1, min(_AT_ONCE, _MEMORY // len(first)))
            number, content = 1, first
            while content:
                self._take_off(number, content)
                # The next part is made only when there is room for it.
                while len(self._flying) >= at_once:
                    self._land(self._arrived.get())
                number, content = number + 1, next(rest, b"")
            while self._flying:
                self._land(self._arrived.get())
            self._complete(number - 1)
        except BaseException:
            self._sender.stopped.set()
            # What the provider has just taken need not be sent again; but nobody waits for a line that is dead.
            self._keep()
            raise

    def _take_off(self, number: int, content: bytes) -> None:
        if number <= len(self._known):
            if self._known[number - 1].md5 == md5(content):
                self._sender.count(number, len(content))
                return
            # From here on the content is another one than what was sent.
            self._known = self._known[: number - 1]
            self._state = self._state.model_copy(update={"parts": self._known})
        self._flying[number] = aside(
            lambda: self._sender.part(self._state.upload_id, number, content), ended=lambda: self._arrived.put(number)
        )

    def _land(self, number: int) -> None:
        self._landed[number] = self._flying.pop(number).result()
        self._grow()

    def _keep(self) -> None:
        """Wait a moment for what is on the line, and take in what arrives."""
        deadline = time.monotonic() + _GRACE_SECONDS
        with suppress(Empty):
            for _ in self._flying:
                self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
        for number, future in list(self._flying.items()):
            if future.done() and future.exception() is None:
                self._land(number)

    def _grow(self) -> None:
        """Remember the parts that are there without a gap."""
        grown = list(self._state.parts)
        while len(grown) + 1 in self._landed:
            grown.append(self._landed.pop(len(grown) + 1))
        if len(grown) > len(self._state.parts):
            self._state = self._state.model_copy(update={"parts": tuple(grown)})
            self._remember(self._state)

    def _complete(self, count: int) -> None:
        # Of an earlier content there may be more parts than of this one.
        self._state = self._state.model_copy(update={"parts": self._state.parts[:count], "whole": True})
        self._remember(self._state)
        self._sender.bucket.complete_upload(self._sender.key, self._state.upload_id, _sent(self._state))


def md5(content: bytes) -> str:
    """Return the MD5 of some content in hexadecimal; against accidents only."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
