"""A bucket at a provider that speaks S3: AWS, Backblaze, Google Cloud Storage."""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64encode
from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeVar

from pgkeeper.model.errors import IntegrityError
from pgkeeper.off_site_settings import BucketSettings
from pgkeeper.stores.bucket import (
    ObjectGoneError,
    ObjectInfo,
    ObjectLockedError,
    Sending,
    SentPart,
    UnfinishedUpload,
    UploadGoneError,
    unwatched,
)
from pgkeeper.stores.files import BLOCK
from pgkeeper.stores.outgoing import Outgoing
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.providers import Right, quirks, says_no_such_upload
from pgkeeper.stores.s3_client import connect
from pgkeeper.stores.s3_trouble import answer_of, date_of, expected_errors, understand

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

T = TypeVar("T")
_PATIENCE = Patience()
_IS_MD5 = re.compile(r"[0-9a-f]{32}")


class _AbandonedError(Exception):
    """Whoever watched a body being sent gave it up."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class S3Bucket:
    """Implements `Bucket`."""

    def __init__(self, settings: BucketSettings, patience: Patience = _PATIENCE) -> None:
        """`patience` is for trouble that may pass. No request is made yet, unless credentials come from a role of the machine."""
        self.name = f"s3://{settings.bucket}/{settings.prefix}"
        self._settings = settings
        self._quirks = quirks(settings.provider)
        self._patience = patience
        self._client = connect(settings)
        self._bucket = settings.bucket
        self._class: dict[str, Any] = {"StorageClass": settings.storage_class} if settings.storage_class else {}
        self._expected = expected_errors()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose keys begin with `prefix`, in the order of their keys."""
        more: dict[str, Any] = {}
        while True:
            ask = partial(self._client.list_objects_v2, Bucket=self._bucket, Prefix=self._key(prefix), **more)
            page = self._try(f"list {self.name}", "list", ask)
            for one in page.get("Contents", ()):
                yield ObjectInfo(self._relative(one["Key"]), one["Size"], _utc(one["LastModified"]), one.get("StorageClass") or "STANDARD")
            if not page.get("NextContinuationToken"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, None when there is none."""
        found = self._head(key)
        if found is None:
            return None
        return ObjectInfo(key, found["ContentLength"], _utc(found["LastModified"]), found.get("StorageClass") or "STANDARD")

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes from `start` up to but without `end`, in pieces of at most 1 MiB."""
        trying = self._patience.begin()
        position, version = start, ""
        while end is None or position < end:
            try:
                body, version, end = self._open(key, position, end, version)
                with closing(body):
                    while piece := body.read(BLOCK):
                        position += len(piece)
                        trying.succeeded()
                        yield piece
            except self._expected as error:
                trouble = understand(error, f"cannot read {self.name}/{key}", self._settings, "read")
                if not (trouble.passes and trying.pause(trouble.wait)):
                    raise trouble.error from error

    def put(self, key: str, content: bytes, sending: Sending = unwatched) -> None:
        """Write an object as a whole."""
        self._send(
            key,
            content,
            _md5(content),
            sending,
            lambda **body: self._client.put_object(Bucket=self._bucket, Key=self._key(key), **self._class, **body),
        )

    def begin_upload(self, key: str) -> str:
        """Begin an upload in parts and return its id."""
        ask = partial(self._client.create_multipart_upload, Bucket=self._bucket, Key=self._key(key), **self._class)
        return self._try(f"write {self.name}/{key}", "write", lambda: _given(ask(), "UploadId"))

    def send_part(self, key: str, upload_id: str, number: int, content: bytes, sending: Sending = unwatched) -> SentPart:
        """Send one part."""

        def ask(**body: Any) -> str:  # noqa: ANN401 - boto3's own looseness
            where: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(key), "UploadId": upload_id, "PartNumber": number}
            return _given(self._known_upload(key, lambda: self._client.upload_part(**where, **body)), "ETag")

        digest = _md5(content)
        return SentPart(number, len(content), self._send(key, content, digest, sending, ask).strip('"'), digest.hex())

    def sent_parts(self, key: str, upload_id: str) -> tuple[SentPart, ...] | None:
        """Return the parts the provider has of an upload, None when it does not know that upload."""
        found: list[SentPart] = []
        more: dict[str, Any] = {}
        while True:
            ask = partial(self._client.list_parts, Bucket=self._bucket, Key=self._key(key), UploadId=upload_id, **more)
            try:
                page = self._try(f"list the parts of {self.name}/{key}", "parts", partial(self._known_upload, key, ask))
            except UploadGoneError:
                return None
            found += [SentPart(part["PartNumber"], part["Size"], part["ETag"].strip('"')) for part in page.get("Parts", ())]
            if not (page.get("IsTruncated") and page.get("NextPartNumberMarker")):
                return tuple(found)
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def complete_upload(self, key: str, upload_id: str, parts: Iterable[SentPart]) -> None:
        """Make an object of the parts."""
        sent = tuple(parts)
        listed: Any = {"Parts": [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in sent]}
        ask = partial(
            self._client.complete_multipart_upload, Bucket=self._bucket, Key=self._key(key), UploadId=upload_id, MultipartUpload=listed
        )
        gone = None
        try:
            self._try(f"write {self.name}/{key}", "write", partial(self._known_upload, key, ask))
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
        ask = partial(self._client.abort_multipart_upload, Bucket=self._bucket, Key=self._key(key), UploadId=upload_id)
        try:
            self._try(f"give up an upload of {self.name}/{key}", "abort", partial(self._known_upload, key, ask))
        except UploadGoneError:
            return

    def unfinished_uploads(self, prefix: str = "") -> Iterator[UnfinishedUpload]:
        """Yield uploads that were begun for keys with that beginning and not ended."""
        more: dict[str, Any] = {}
        while True:
            ask = partial(self._client.list_multipart_uploads, Bucket=self._bucket, Prefix=self._key(prefix), **more)
            page = self._try(f"list unfinished uploads in {self.name}", "uploads", ask)
            for one in page.get("Uploads", ()):
                yield UnfinishedUpload(self._relative(one["Key"]), one["UploadId"], _utc(one["Initiated"]))
            if not (page.get("IsTruncated") and page.get("NextKeyMarker")):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there does no harm."""
        what = f"remove {self.name}/{key}"
        if self._quirks.locks_versions:
            self._require_unlocked(key, f"cannot {what}")

        def ask() -> None:
            try:
                self._client.delete_object(Bucket=self._bucket, Key=self._key(key))
            except self._client.exceptions.ClientError as error:
                # Google says so where the others are content.
                if not _says(error, "NoSuchKey", "404"):
                    raise

        self._try(what, "delete", ask)

    def clock_skew(self) -> float:
        """Return by how many seconds our clock is ahead of the provider's (negative: behind)."""

        def ask() -> datetime | None:
            try:
                return date_of(self._client.head_bucket(Bucket=self._bucket)["ResponseMetadata"]["HTTPHeaders"])
            except self._client.exceptions.ClientError as error:
                # Any answer tells the time.
                answer = answer_of(error)
                return answer.date if answer else None

        before = time.time()
        theirs = self._try(f"ask {self.name} for the time", "list", ask)
        ours = (before + time.time()) / 2
        return ours - theirs.timestamp() if theirs else 0.0

    def _try(self, doing: str, right: Right, ask: Callable[[], T], waiting: Callable[[], None] = lambda: None) -> T:
        """Return what `ask` answers; what may pass is tried again. Raises what is said of `Bucket`."""
        trying = self._patience.begin()
        while True:
            try:
                return ask()
            except self._expected as error:
                trouble = understand(error, f"cannot {doing}", self._settings, right)
                if not (trouble.passes and trying.pause(trouble.wait, waiting)):
                    raise trouble.error from error

    def _send(self, key: str, content: bytes, digest: bytes, sending: Sending, ask: Callable[..., T]) -> T:
        """Send a body, and its MD5 `digest` for the provider to check what arrives."""

        def send() -> T:
            body = Outgoing(content, sending)
            try:
                return ask(Body=body, ContentMD5=b64encode(digest).decode())
            except Exception:
                if body.error is not None:
                    raise _AbandonedError(body.error) from None
                raise

        try:
            return self._try(f"write {self.name}/{key}", "write", send, partial(sending, 0, 0))
        except _AbandonedError as abandoned:
            raise abandoned.error from None

    def _known_upload(self, key: str, ask: Callable[[], T]) -> T:
        """Return what `ask` answers. Raises UploadGoneError when the provider does not know the upload."""
        try:
            return ask()
        except self._client.exceptions.ClientError as error:
            answer = answer_of(error)
            if answer and says_no_such_upload(answer.code, answer.message):
                raise UploadGoneError(f"cannot write {self.name}/{key}", "the provider does not know the upload any more") from None
            raise

    def _head(self, key: str) -> HeadObjectOutputTypeDef | None:
        def ask() -> HeadObjectOutputTypeDef | None:
            try:
                return self._client.head_object(Bucket=self._bucket, Key=self._key(key))
            except self._client.exceptions.ClientError as error:
                if _says(error, "404", "NoSuchKey"):
                    return None
                if _says(error, "400", "403"):
                    # An answer to HEAD has no body that says why.
                    self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._key(key), MaxKeys=1)
                raise

        return self._try(f"look at {self.name}/{key}", "read", ask)

    def _open(self, key: str, position: int, end: int | None, version: str) -> tuple[Any, str, int]:
        """Return an object's body from `position` on, its ETag, and where reading ends. Raises IntegrityError as `read` does."""
        what = f"{self.name}/{key} cannot be used"
        asked: dict[str, Any] = {}
        if position or end is not None:
            asked["Range"] = f"bytes={position}-{'' if end is None else end - 1}"
        if version:
            asked["IfMatch"] = version
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key), **asked)
        except self._client.exceptions.ClientError as error:
            if _says(error, "NoSuchKey", "404"):
                raise ObjectGoneError(what, "it is not there") from None
            if _says(error, "PreconditionFailed", "412"):
                raise IntegrityError(what, "it was replaced while it was being read") from None
            if _says(error, "InvalidRange", "416"):
                raise IntegrityError(what, f"it has less than {(end or position + 1)} bytes") from None
            raise
        first, behind, total = _range(answer.get("ContentRange", ""), answer["ContentLength"])
        if first != position or (end is not None and behind < end):
            answer["Body"].close()
            raise IntegrityError(what, f"asked for bytes from {position} to {end}, the provider gave {first} to {behind} of {total}")
        return answer["Body"], _given(answer, "ETag"), behind if end is None else end

    def _differs(self, key: str, parts: tuple[SentPart, ...]) -> str:
        """Return in what the object is not what the parts make, "" when it is."""
        found = self._head(key)
        size = sum(part.size for part in parts)
        if found is None:
            return "it is not there"
        if found["ContentLength"] != size:
            return f"it has {found['ContentLength']} bytes, {size} were sent"
        etag, promised = found["ETag"].strip('"'), _etag_of(parts)
        encrypted = found.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in found
        if self._quirks.etags_are_md5 and not encrypted and promised and etag != promised:
            return f"its ETag is {etag}, that of what was sent is {promised}"
        return ""

    def _require_unlocked(self, key: str, what: str) -> None:
        """Raise ObjectLockedError when the object is locked, as far as we may know: removing it would only hide it."""
        found = self._head(key)
        until = found.get("ObjectLockRetainUntilDate") if found else None
        if until is not None and _utc(until) > datetime.now(UTC):
            raise ObjectLockedError(what, f"it is locked until {_utc(until):%Y-%m-%d %H:%M} UTC", "it can be removed after that")
        if found and found.get("ObjectLockLegalHoldStatus") == "ON":
            raise ObjectLockedError(what, "a legal hold is on it", "whoever put the hold on it can release it")

    def _key(self, key: str) -> str:
        return f"{self._settings.prefix}/{key}"

    def _relative(self, key: str) -> str:
        return key.removeprefix(f"{self._settings.prefix}/")


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _says(error: Exception, *codes: str) -> bool:
    answer = answer_of(error)
    return answer is not None and answer.code in codes


def _given(answer: Mapping[str, Any], name: str) -> str:
    """Return what an answer must say. Raises HTTPException when it does not: it came from something else than the provider."""
    if not answer.get(name):
        raise HTTPException(f"the answer has no {name}")
    return str(answer[name])


def _range(content_range: str, length: int) -> tuple[int, int, str]:
    """Return where a body begins, the byte behind it, and the object's size as the provider tells it."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range)
    return (int(found[1]), int(found[2]) + 1, found[3]) if found else (0, length, str(length))


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _etag_of(parts: tuple[SentPart, ...]) -> str:
    """Return the ETag of the object that parts make, where ETags are MD5s; "" where the parts' are none."""
    if not all(_IS_MD5.fullmatch(part.etag) for part in parts):
        return ""
    digests = b"".join(unhexlify(part.etag) for part in parts)
    return f"{_md5(digests).hex()}-{len(parts)}"
