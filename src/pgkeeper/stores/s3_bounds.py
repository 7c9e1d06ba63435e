"""What a provider answers with is read up to a size and for a time: botocore reads any answer to its end before it looks at it.

Objects themselves are none of it: they are read piece by piece (s3_read.py), as far as was asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pgkeeper.model.sizes import format_size
from pgkeeper.stores.s3_answers import NotTheAnswerError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MOST_BYTES = 32 << 20
"""A page of a list has at most a thousand entries, with keys of at most 1024 bytes, each of which takes three where it is escaped."""
MOST_SECONDS = 300.0


def bound_answers(client: S3Client) -> None:
    """Let each call of `client` raise NotTheAnswerError where an answer, but for an object, is larger or slower than any can be."""
    endpoint: Any = client
    session = endpoint._endpoint.http_session  # noqa: SLF001 - botocore has no other way to what sends

    def send(request: Any, **_more: object) -> Any:  # noqa: ANN401 - botocore declares no types
        # Else it is read before anybody can look how much it is.
        request.stream_output = True
        response = session.send(request)
        response.raw = _Bounded(response.raw)
        return response

    client.meta.events.register_last("before-send.s3", send)


class _Bounded:
    """What came from the line; read as a whole, it is read up to the bounds."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - urllib3's, as botocore hands it on
        self._raw = raw

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else urllib3 offers
        return getattr(self._raw, name)

    def stream(self) -> Iterator[bytes]:
        """Yield all of it, as botocore reads what is no object."""
        count, deadline = 0, time.monotonic() + MOST_SECONDS
        while piece := self._raw.read1(1 << 16):
            count += len(piece)
            if count > MOST_BYTES or time.monotonic() > deadline:
                self._raw.close()
                raise NotTheAnswerError(f"it does not end: {format_size(count)} have come, in up to {MOST_SECONDS:.0f} seconds")
            yield piece
        self._raw.release_conn()
