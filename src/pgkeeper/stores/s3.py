"""A bucket at a provider that speaks S3: AWS, Backblaze, Google Cloud Storage."""

import hashlib
import re
import time
from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from pgkeeper.model.errors import IntegrityError
from pgkeeper.off_site_settings import BucketSettings
from pgkeeper.stores.bucket import (
    BucketRefusedError,
    ObjectInfo,
    ObjectLockedError,
    Sending,
    SentPart,
    TooManyPartsError,
    UnfinishedUpload,
    UploadGoneError,
    unwatched,
)
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.providers import most_parts, says_no_such_upload
from pgkeeper.stores.s3_answers import is_encrypted
from pgkeeper.stores.s3_read import read
from pgkeeper.stores.s3_requests import S3Requests, says
from pgkeeper.stores.s3_trouble import answer_of, date_of

T = TypeVar("T")
_PATIENCE = Patience()
_IS_MD5 = re.compile(r"[0-9a-f]{32}")


class S3Bucket:
    """Implements `Bucket`."""

    def __init__(self, settings: BucketSettings, patience: Patience = _PATIENCE) -> None:
        """`patience` is for trouble that may pass. No request is made yet, unless credentials come from a role of the machine."""
        self._requests = S3Requests(settings, patience)
        self._client = self._requests.client
        self._class: dict[str, Any] = {"StorageClass": settings.storage_class} if settings.storage_class else {}
        self.name = self._requests.name

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose keys begin with `prefix`, in the order of their keys."""
        ask = partial(self._client.list_objects_v2, **self._requests.where(), Prefix=self._requests.full(prefix))
        markers = {"ContinuationToken": "NextContinuationToken"}
        for one in self._requests.entries(f"list {self.name}", "list", ask, markers, "Contents", lambda one: one["Key"].encode()):
            # Providers' consoles make an empty object for a folder.
            if key := self._requests.relative(one["Key"]):
                yield ObjectInfo(key, one["Size"], _utc(one["LastModified"]), one.get("StorageClass") or "STANDARD")

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, None when there is none."""
        found = self._requests.head(key)
        if found is None:
            return None
        return ObjectInfo(key, found["ContentLength"], _utc(found["LastModified"]), found.get("StorageClass") or "STANDARD")

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes from `start` up to but without `end`, in pieces of at most 1 MiB."""
        return read(self._requests, key, start, end)

    def put(self, key: str, content: bytes, sending: Sending = unwatched) -> None:
        """Write an object as a whole."""
        put = partial(self._client.put_object, **self._requests.where(key), **self._class)
        self._requests.send(key, content, _md5(content), sending, put)

    def begin_upload(self, key: str) -> str:
        """Begin an upload in parts and return its id."""
        ask = partial(self._client.create_multipart_upload, **self._requests.where(key), **self._class)
        return self._requests.attempt(f"write {self.name}/{key}", "write", lambda: ask()["UploadId"])

    def send_part(self, key: str, upload_id: str, number: int, content: bytes, sending: Sending = unwatched) -> SentPart:
        """Send one part."""
        send = partial(self._client.upload_part, **self._requests.where(key), UploadId=upload_id, PartNumber=number)

        def ask(**body: Any) -> str:  # noqa: ANN401 - boto3's own looseness
            return self._known_upload(key, partial(send, **body), number)["ETag"]

        digest = _md5(content)
        etag = self._requests.send(key, content, digest, sending, ask).strip('"')
        return SentPart(number, len(content), etag, digest.hex())

    def sent_parts(self, key: str, upload_id: str) -> tuple[SentPart, ...] | None:
        """Return the parts the provider has of an upload, None when it does not know that upload."""
        list_parts = partial(self._client.list_parts, **self._requests.where(key), UploadId=upload_id)

        def ask(**more: Any) -> Any:  # noqa: ANN401 - boto3's own looseness
            return self._known_upload(key, partial(list_parts, **more))

        doing, markers = f"list the parts of {self.name}/{key}", {"PartNumberMarker": "NextPartNumberMarker"}
        parts = self._requests.entries(doing, "parts", ask, markers, "Parts", lambda part: part["PartNumber"])
        try:
            return tuple(SentPart(part["PartNumber"], part["Size"], part["ETag"].strip('"')) for part in parts)
        except UploadGoneError:
            return None

    def complete_upload(self, key: str, upload_id: str, parts: Iterable[SentPart]) -> None:
        """Make an object of the parts."""
        sent = tuple(parts)
        listed: Any = {"Parts": [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in sent]}
        ask = partial(self._client.complete_multipart_upload, **self._requests.where(key), UploadId=upload_id, MultipartUpload=listed)
        gone = None
        try:
            self._requests.attempt(f"write {self.name}/{key}", "write", partial(self._known_upload, key, ask, len(sent)))
        except UploadGoneError as error:
            # An earlier try may have done it, and its answer been lost.
            gone = error
        wrong = self._differs(key, sent)
        if gone and wrong:
            raise gone
        if wrong:
            raise IntegrityError(f"{self.name}/{key} is not what was uploaded", wrong, "upload it again")

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Give an upload up, and what was sent of it."""
        ask = partial(self._client.abort_multipart_upload, **self._requests.where(key), UploadId=upload_id)
        try:
            self._requests.attempt(f"give up an upload of {self.name}/{key}", "abort", partial(self._known_upload, key, ask))
        except UploadGoneError:
            return

    def unfinished_uploads(self, prefix: str = "") -> Iterator[UnfinishedUpload]:
        """Yield uploads that were begun for keys with that beginning and not ended."""
        ask = partial(self._client.list_multipart_uploads, **self._requests.where(), Prefix=self._requests.full(prefix))
        markers = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
        # Not every provider lists them in the order of their keys.
        for one in self._requests.entries(f"list unfinished uploads in {self.name}", "uploads", ask, markers, "Uploads"):
            yield UnfinishedUpload(self._requests.relative(one["Key"]), one["UploadId"], _utc(one["Initiated"]))

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there does no harm."""
        doing = f"remove {self.name}/{key}"
        if self._requests.quirks.locks_versions and not self._may_be_removed(key, f"cannot {doing}"):
            return

        def ask() -> None:
            try:
                self._client.delete_object(**self._requests.where(key))
            except self._requests.refused as error:
                # Google says so where the others are content.
                if not says(error, "NoSuchKey"):
                    raise

        self._requests.attempt(doing, "delete", ask)

    def clock_skew(self) -> float:
        """Return by how many seconds our clock is ahead of the provider's (negative: behind)."""

        def ask() -> datetime | None:
            try:
                return date_of(self._client.head_bucket(**self._requests.where())["ResponseMetadata"]["HTTPHeaders"])
            except self._requests.refused as error:
                # Any answer tells the time.
                answer = answer_of(error)
                return answer.date if answer else None

        before = time.time()
        theirs = self._requests.attempt(f"ask {self.name} for the time", "list", ask)
        ours = (before + time.time()) / 2
        return ours - theirs.timestamp() if theirs else 0.0

    def _known_upload(self, key: str, ask: Callable[[], T], parts: int = 0) -> T:
        """Return what `ask` answers. Raises UploadGoneError when the provider does not know the upload, TooManyPartsError for `parts`."""
        try:
            return ask()
        except self._requests.refused as error:
            answer = answer_of(error)
            if answer and says_no_such_upload(answer.code, answer.message):
                raise UploadGoneError(f"cannot write {self.name}/{key}", "the provider does not know the upload any more") from None
            most = most_parts(answer.code, answer.message, parts) if answer else None
            if most is not None:
                raise TooManyPartsError(f"cannot write {self.name}/{key}", most) from None
            raise

    def _differs(self, key: str, parts: tuple[SentPart, ...]) -> str:
        """Return in what the object is not what the parts make, "" when it is."""
        found = self._requests.head(key)
        size = sum(part.size for part in parts)
        if found is None:
            return "it is not there"
        if found["ContentLength"] != size:
            return f"it has {found['ContentLength']} bytes, {size} were sent"
        etag, promised = found["ETag"].strip('"'), _etag_of(parts)
        if self._requests.quirks.etags_are_md5 and not is_encrypted(found) and promised and etag != promised:
            return f"its ETag is {etag}, that of what was sent is {promised}"
        return ""

    def _may_be_removed(self, key: str, what: str) -> bool:
        """Tell whether there is such an object. Raises ObjectLockedError when it is locked: removing it would only hide it."""
        try:
            found = self._requests.head(key)
        except BucketRefusedError:
            # Maybe we may not read, and still remove.
            return True
        if found is None:
            return False
        until = _utc(found.get("ObjectLockRetainUntilDate", datetime.fromtimestamp(0, UTC)))
        if until > datetime.now(UTC):
            raise ObjectLockedError(what, f"it is locked until {until:%Y-%m-%d %H:%M} UTC", "it can be removed after that")
        if found.get("ObjectLockLegalHoldStatus") == "ON":
            raise ObjectLockedError(what, "a legal hold is on it", "whoever put the hold on it can release it")
        return True


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _etag_of(parts: tuple[SentPart, ...]) -> str:
    """Return the ETag of the object that parts make, where ETags are MD5s; "" where the parts' are none."""
    if not all(_IS_MD5.fullmatch(part.etag) for part in parts):
        return ""
    digests = b"".join(unhexlify(part.etag) for part in parts)
    return f"{_md5(digests).hex()}-{len(parts)}"
