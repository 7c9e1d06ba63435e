"""Reading an object, over a connection that may break any time."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from pgkeeper.model.errors import IntegrityError
from pgkeeper.stores.bucket import ObjectGoneError
from pgkeeper.stores.files import BLOCK
from pgkeeper.stores.s3_answers import NotTheAnswerError
from pgkeeper.stores.s3_requests import S3Requests, says


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
        if says(error, "NoSuchKey"):
            raise ObjectGoneError(what, "it is not there") from None
        if says(error, "PreconditionFailed"):
            raise IntegrityError(what, "it was replaced while it was being read") from None
        if says(error, "InvalidRange"):
            raise IntegrityError(what, f"it has less than {end or position + 1} bytes") from None
        raise
    first, behind, total = _range(answer.get("ContentRange", ""), answer["ContentLength"])
    said = f"asked for bytes from {position} to {end or 'the end'}, the provider gave {first} to {behind} of {total}"
    if first != position or behind - first != answer["ContentLength"]:
        answer["Body"].close()
        raise NotTheAnswerError(said)
    if end is not None and behind < end:
        answer["Body"].close()
        if behind < total:
            raise NotTheAnswerError(said)
        raise IntegrityError(what, f"it has less than {end} bytes: {said}")
    return answer["Body"], answer["ETag"], behind if end is None else end


def _range(content_range: str, length: int) -> tuple[int, int, int]:
    """Return where a body begins, the byte behind it, and the object's size as far as the provider tells it."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range)
    if found is None:
        return 0, length, length
    behind = int(found[2]) + 1
    return int(found[1]), behind, behind if found[3] == "*" else int(found[3])
