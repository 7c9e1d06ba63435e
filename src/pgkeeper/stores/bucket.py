"""What every bucket guarantees, whoever runs it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pgkeeper.model.errors import IntegrityError, OperationFailed, RefusedError


class BucketUnreachableError(OperationFailed):
    """The provider, or something else in its place, gave no answer as long as we had patience for it (exit status 1): try later."""


class BucketRefusedError(OperationFailed):
    """The provider understood and said no (exit status 1): credentials, rights, clock, no such bucket. Trying again is in vain."""


class ObjectGoneError(IntegrityError):
    """There is no such object (exit status 4, unless whoever asked knows better)."""


class UploadGoneError(BucketRefusedError):
    """The provider does not know an upload in parts (any more), and there is no object that came of it (exit status 1): begin again."""


class TooManyPartsError(BucketRefusedError):
    """The provider takes no more than `most` parts of an upload (exit status 1): begin again with larger ones."""

    def __init__(self, what: str, most: int) -> None:
        super().__init__(what, f"the provider takes no more than {most} parts", "it goes on with larger ones")
        self.most = most


class ObjectLockedError(RefusedError):
    """An object may not be removed before its time: object lock or a retention policy (exit status 6)."""


@dataclass(frozen=True)
class ObjectInfo:
    """One object: its key below the prefix, size in bytes, when it was written (UTC), and its storage class as the provider names it."""

    key: str
    size: int
    modified_at: datetime
    storage_class: str


@dataclass(frozen=True)
class UnfinishedUpload:
    """A multipart upload that was begun and neither completed nor aborted. What was sent of it is stored and paid for."""

    key: str
    upload_id: str
    started_at: datetime


@dataclass(frozen=True)
class SentPart:
    """One part of a multipart upload that the provider has: its number (from 1), size in bytes, and its ETag without quotes.

    `md5` is that of what was sent, in hexadecimal; "" where the provider is all we have it from.
    """

    number: int
    size: int
    etag: str
    md5: str = field(default="", compare=False)


Sending = Callable[[int, int], None]
"""Watches a body being sent: is told that so many bytes (second) from a position on (first) are about to go onto the line.

It may sleep, to hold them back, and whatever it raises ends the sending and comes out of it. Positions begin again when a body is sent
again. While the provider is given time to recover it is told of 0 bytes, many times.
"""


def unwatched(_position: int, _count: int) -> None:
    """Let a body go as fast as it can."""


class Bucket(Protocol):
    """Objects under one prefix of one bucket. Keys are relative to the prefix.

    Everything here is tried again, with growing pauses, where the provider or the line fails in a way that may pass. What still fails then
    raises BucketUnreachableError; what will not change by itself raises BucketRefusedError. Neither ever names a secret. An answer that is
    not the answer to what was asked counts as such trouble, too, and is never taken for one. May be used by several threads at once.
    """

    name: str
    """For people, as in `s3://bucket/prefix`."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose keys begin with `prefix`, in the order of their keys. Older versions of an object are not among them."""

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, None when there is none."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes from `start` up to but without `end`, in pieces of at most 1 MiB, and never more, whatever is sent.

        A connection that breaks is made again, and goes on at the byte where it broke, of the same version of the object. Raises
        ObjectGoneError when it is not there, and IntegrityError when it is replaced meanwhile, or holds fewer bytes than it should.
        """

    def put(self, key: str, content: bytes, sending: Sending = unwatched) -> None:
        """Write an object as a whole; it takes the place of an older one, or nothing has happened. The provider checks what arrives."""

    def begin_upload(self, key: str) -> str:
        """Begin an upload in parts and return its id."""

    def send_part(self, key: str, upload_id: str, number: int, content: bytes, sending: Sending = unwatched) -> SentPart:
        """Send one part (all but the last at least 5 MiB). The provider checks what arrives. Sent again, the last one counts.

        Raises UploadGoneError when the provider does not know the upload, TooManyPartsError when it takes none of that number.
        """

    def sent_parts(self, key: str, upload_id: str) -> tuple[SentPart, ...] | None:
        """Return the parts the provider has of an upload, None when it does not know that upload."""

    def complete_upload(self, key: str, upload_id: str, parts: Iterable[SentPart]) -> None:
        """Make an object of the parts; before that there is none. Done again after it was done, it does no harm.

        Raises IntegrityError when the object's size or MD5 is not that of the parts, UploadGoneError when the provider does not know the
        upload and there is no such object either.
        """

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Give an upload up, and what was sent of it. One that is not known any more does no harm."""

    def unfinished_uploads(self, prefix: str = "") -> Iterator[UnfinishedUpload]:
        """Yield uploads that were begun for keys with that beginning and not ended."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there does no harm. Raises ObjectLockedError while it may not be removed.

        A bucket that keeps versions keeps it hidden, until its own rules for older versions remove it.
        """

    def clock_skew(self) -> float:
        """Return by how many seconds our clock is ahead of the provider's (negative: behind)."""
