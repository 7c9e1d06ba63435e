"""Reading an object, over a connection that may break any time."""

import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from typing import Any

from pgkeeper.model.errors import IntegrityError
from pgkeeper.stores.bucket import ObjectGoneError
from pgkeeper.stores.files import BLOCK
from pgkeeper.stores.s3_requests import S3Requests, given, says


def read(requests: S3Requests, key: str, start: int, end: int | None) -> Iterator[bytes]:
    """Yield an object's bytes as `Bucket.read` promises."""
    trying = requests.begin()
    position, version = start, ""
    while end is None or position < end:
        try:
            body, version, end = _open(requests, key, position, end, version)
            with closing(body):
                # Whoever answers may send all of an object of which a part was asked for.
                while position < end and (piece := body.read(min(BLOCK, end - position))):
                    position += len(piece)
                    trying.succeeded()
                    requests.answered()
                    yield piece
                # A connection that is known to be at its end is used again.
                body.read(1)
        except requests.expected as error:
            trouble = requests.understand(error, f"read {requests.name}/{key}", "read")
            if not (trouble.passes and trying.pause(trouble.wait)):
                raise trouble.error from error


def _open(requests: S3Requests, key: str, position: int, end: int | None, version: str) -> tuple[Any, str, int]:
    """Return an object's body from `position` on, its ETag, and where reading ends."""
    what = f"{requests.name}/{key} cannot be used"
    asked: dict[str, Any] = {}
    if position or end is not None:
        asked["Range"] = f"bytes={position}-{'' if end is None else end - 1}"
    if version:
        asked["IfMatch"] = version
    try:
        answer = requests.client.get_object(**requests.where(key), **asked)
    except requests.refused as error:
        if says(error, "NoSuchKey", "404"):
            raise ObjectGoneError(what, "it is not there") from None
        if says(error, "PreconditionFailed", "412"):
            raise IntegrityError(what, "it was replaced while it was being read") from None
        if says(error, "InvalidRange", "416"):
            raise IntegrityError(what, f"it has less than {end or position + 1} bytes") from None
        raise
    # Where nothing is in it, it is 0, which `given` takes for no answer.
    length = answer.get("ContentLength")
    if length is None:
        answer["Body"].close()
        raise HTTPException("the answer has no ContentLength")
    first, behind, total = _range(answer.get("ContentRange", ""), length)
    if first != position or (end is not None and behind < end):
        answer["Body"].close()
        raise IntegrityError(what, f"asked for bytes from {position} to {end}, the provider gave {first} to {behind} of {total}")
    return answer["Body"], given(answer, "ETag"), behind if end is None else end


def _range(content_range: str, length: int) -> tuple[int, int, str]:
    """Return where a body begins, the byte behind it, and the object's size as the provider tells it."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range)
    return (int(found[1]), int(found[2]) + 1, found[3]) if found else (0, length, str(length))
