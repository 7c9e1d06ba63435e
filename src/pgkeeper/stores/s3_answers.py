"""An answer is believed only where it is the answer to what was asked.

A proxy, a login page, another service at the same address and a provider in trouble all answer with status 200 at times. Taken for a
listing, that would mean: there is no backup. So every answer that is not a refusal passes through here before anybody uses it.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import hexlify
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError, XMLPullParser

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MOST_ENTRIES = 10_000_000
MOST_EMPTY_PAGES = 1_000
_BEGINNING = 4096
_IS_MD5 = re.compile(r"[0-9a-f]{32}")
_ALIAS = re.compile(r"^arn:|-s3alias$|\.mrap$")
_ASKED = "pgkeeper_asked"

_DOCUMENTS: Mapping[str, frozenset[str]] = {
    "ListObjectsV2": frozenset({"ListBucketResult"}),
    # Some servers that speak S3 as well call it a response.
    "ListParts": frozenset({"ListPartsResult", "ListPartsResponse"}),
    "ListMultipartUploads": frozenset({"ListMultipartUploadsResult"}),
    "CreateMultipartUpload": frozenset({"InitiateMultipartUploadResult"}),
    "CompleteMultipartUpload": frozenset({"CompleteMultipartUploadResult"}),
}
"""The outermost element of each answer that is a document."""
_WITHOUT_BODY: Mapping[str, frozenset[int]] = {
    "PutObject": frozenset({200}),
    "UploadPart": frozenset({200}),
    "DeleteObject": frozenset({200, 204}),
    "AbortMultipartUpload": frozenset({200, 204}),
}
"""The statuses of answers that have nothing in them."""
_OBJECTS: Mapping[str, frozenset[int]] = {
    "HeadBucket": frozenset({200}),
    "HeadObject": frozenset({200}),
    "GetObject": frozenset({200, 206}),
}
"""The statuses of answers that are an object, or its description."""
_MUST_SAY: Mapping[str, tuple[str, ...]] = {
    "ListObjectsV2": ("Name", "IsTruncated"),
    "ListParts": ("IsTruncated",),
    "ListMultipartUploads": ("IsTruncated",),
    "CreateMultipartUpload": ("UploadId",),
    "PutObject": ("ETag",),
    "UploadPart": ("ETag",),
    "HeadObject": ("ETag", "ContentLength", "LastModified"),
    "GetObject": ("ETag", "ContentLength"),
}
_ENTRIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ListObjectsV2": ("Contents", ("Key", "Size", "LastModified")),
    "ListParts": ("Parts", ("PartNumber", "Size", "ETag")),
    "ListMultipartUploads": ("Uploads", ("Key", "UploadId", "Initiated")),
}
"""Which part of a list holds its entries, and what each of them must say."""


class NotTheAnswerError(HTTPException):
    """What came is not the answer to what was asked. `lasting`: asking again is in vain."""

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting


def believe_only_answers(client: S3Client, *, etags_are_md5: bool) -> None:
    """Let each call of `client` raise NotTheAnswerError where what comes is no answer to it. Refusals are left to botocore.

    `etags_are_md5` tells whether the ETag of a body that was sent is its MD5.
    """

    def check(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_more: object) -> None:  # noqa: ANN401
        if "Error" not in parsed and parsed["ResponseMetadata"]["HTTPStatusCode"] < 300:
            try:
                _require_answer(model.name, context[_ASKED], parsed, etags_are_md5=etags_are_md5)
            except NotTheAnswerError:
                _close(parsed.get("Body"))
                raise

    events = client.meta.events
    events.register("before-parameter-build.s3", _note_request)
    # Named so, it comes before botocore's own for s3, which makes an error of the provider's of whatever is no document.
    events.register_first("before-parse.*.*", _require_form)
    # After botocore has decoded keys.
    events.register_last("after-call.s3", check)


class ForwardOnly:
    """Follows a list from page to page, and raises NotTheAnswerError where it goes back, round in a circle, or on for ever.

    `entries` names the part of a page that holds its entries, `markers` the parts that say where the next one begins. `place` returns
    where an entry stands; None where providers promise no order.
    """

    def __init__(self, entries: str, markers: Sequence[str], place: Callable[[Any], Any] | None) -> None:
        self._entries = entries
        self._markers = markers
        self._place = place
        self._last: Any = None
        self._seen: set[tuple[str, ...]] = set()
        self._count = 0
        self._empty = 0

    def follow(self, page: Mapping[str, Any]) -> None:
        """Take in the next page. One that raises may be asked for again."""
        found = page.get(self._entries, ())
        last = self._last
        for one in found if self._place else ():
            here = self._place(one)  # type: ignore[misc]  # there is nothing to look at without it
            if last is not None and here <= last:
                raise NotTheAnswerError("the list goes back")
            last = here
        count, empty = self._count + len(found), 0 if found else self._empty + 1
        marker = tuple(str(page.get(part) or "") for part in self._markers)
        if page["IsTruncated"]:
            if not marker[0]:
                # A list that ends too early would be taken for all there is.
                raise NotTheAnswerError(f"the list goes on, and has no {self._markers[0]}")
            if marker in self._seen:
                raise NotTheAnswerError("the list goes round in a circle")
            if count >= MOST_ENTRIES or empty >= MOST_EMPTY_PAGES:
                raise NotTheAnswerError(f"the list does not end: it has {count} entries so far, the last {empty} pages none", lasting=True)
        self._last, self._count, self._empty = last, count, empty
        self._seen.add(marker)


def _note_request(params: dict[str, Any], context: dict[str, Any], **_more: object) -> None:
    context[_ASKED] = params


def _require_form(operation_model: Any, response_dict: dict[str, Any], **_more: object) -> None:  # noqa: ANN401
    """Raise NotTheAnswerError unless status and body are of the form that this answer has."""
    status, headers, body = response_dict["status_code"], response_dict["headers"], response_dict["body"]
    if status >= 300:
        return
    name = operation_model.name
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if name in _OBJECTS:
        # Nobody stores web pages where we do, and an answer to HEAD has nothing else it is known by.
        if status not in _OBJECTS[name] or kind == "text/html":
            _close(body)
            raise NotTheAnswerError(f"status {status} with {kind or 'something'}, where an object was asked for")
    elif name in _WITHOUT_BODY:
        if status not in _WITHOUT_BODY[name] or (body.strip() and _root(body) != "Error"):
            raise NotTheAnswerError(f"status {status} with {len(body)} bytes of {kind or 'something'}, where nothing was to come")
    else:
        root = _root(body)
        # An error may come with status 200; botocore makes a refusal of it.
        if status != 200 or root not in {*_DOCUMENTS[name], "Error"}:
            came = f"a document {root}" if root else f"{len(body)} bytes of {kind or 'something'}"
            raise NotTheAnswerError(f"status {status} with {came}, where {min(_DOCUMENTS[name], key=len)} was to come")


def _root(body: bytes) -> str:
    """Return the name of a document's outermost element, "" where it is no document."""
    parser: Any = XMLPullParser(("start",))
    try:
        parser.feed(body[:_BEGINNING])
        for _event, element in parser.read_events():
            return str(element.tag).rpartition("}")[2][:60]
    except ParseError:
        pass
    return ""


def _require_answer(name: str, asked: Mapping[str, Any], parsed: Mapping[str, Any], *, etags_are_md5: bool) -> None:
    """Raise NotTheAnswerError unless an answer of the right form speaks of what was asked."""
    for part in _MUST_SAY.get(name, ()):
        if parsed.get(part) in {None, ""}:
            raise NotTheAnswerError(f"the answer has no {part}")
    _require_bucket(asked["Bucket"], parsed.get("Name" if name == "ListObjectsV2" else "Bucket"))
    for part in ("Key", "UploadId"):
        _require_same(part, asked.get(part), parsed.get(part))
    _require_same("ETag", asked.get("IfMatch"), parsed.get("ETag"))
    if "Prefix" in asked:
        # Where there is nothing, only this tells of what there is nothing.
        _require_same("Prefix", asked["Prefix"], parsed.get("Prefix", "" if name == "ListObjectsV2" else None))
    if name in _ENTRIES:
        _require_entries(*_ENTRIES[name], parsed, asked.get("Prefix", ""))
    if etags_are_md5 and "ContentMD5" in asked and not is_encrypted(parsed):
        etag, sent = parsed["ETag"].strip('"'), hexlify(b64decode(asked["ContentMD5"])).decode()
        if _IS_MD5.fullmatch(etag) and etag != sent:
            raise NotTheAnswerError(f"its ETag is {etag}, that of what was sent is {sent}")


def _require_bucket(asked: str, came: str | None) -> None:
    # A bucket may be asked for by the name of an access point, and answer with its own.
    if came is not None and came != asked and not _ALIAS.search(asked):
        raise NotTheAnswerError(f"it speaks of bucket {came[:80]}")


def _require_same(part: str, asked: str | None, came: str | None) -> None:
    """Raise NotTheAnswerError where an answer says that it is the answer to something else."""
    if asked is not None and came is not None and came != asked:
        raise NotTheAnswerError(f"it speaks of {part} {came[:80]!r}, asked was {asked[:200]!r}")


def _require_entries(entries: str, parts: tuple[str, ...], parsed: Mapping[str, Any], prefix: str) -> None:
    for one in parsed.get(entries, ()):
        for part in parts:
            if part not in one:
                raise NotTheAnswerError(f"an entry of {entries} has no {part}")
        if not one.get("Key", prefix).startswith(prefix):
            raise NotTheAnswerError(f"it lists {one['Key'][:200]!r}, asked was for what begins with {prefix!r}")


def is_encrypted(parsed: Mapping[str, Any]) -> bool:
    """Tell whether an object is encrypted by the provider in a way that makes its ETag no MD5."""
    return parsed.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in parsed


def _close(body: Any) -> None:  # noqa: ANN401 - botocore declares no types
    if hasattr(body, "close"):
        body.close()
