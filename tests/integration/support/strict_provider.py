"""Providers as strict as the real ones, in front of a server that takes everything.

What each refuses is known from its documentation, and from reports of clients that were refused.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import replace

from pgkeeper.off_site_settings import Provider

from .faulty_http import error
from .http_proxy import Answer, Hands, Request

_CHECKSUM = re.compile(r"x-amz-(checksum-.*|sdk-checksum-algorithm|trailer)$")
_MULTIPART_ETAG = re.compile(r'^"?([0-9a-f]{32}-\d+)"?$')
_NO_UPLOAD = error(404, "NoSuchUpload", "The specified upload does not exist.")
_GOOGLE_CLASSES = {"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"}


class Strict(Hands):
    """What every provider refuses: damage, what is not signed as it should be, bodies of a length nobody knows, and ended uploads."""

    def __init__(self) -> None:
        self._completed: set[str] = set()

    def request(self, request: Request) -> Request | Answer:
        if request.path.startswith("/moto-api"):
            return request
        if not request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            return error(400, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use V4.")
        if request.headers.get("transfer-encoding"):
            return error(411, "MissingContentLength")
        promised = request.headers.get("content-md5")
        if promised and promised != b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode():
            return error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
        if request.query.get("uploadId") in self._completed:
            return _NO_UPLOAD
        return self.refusal(request) or request

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Say of an unknown upload what the server behind fails to say: it stumbles over it, and takes a completed one for a known one."""
        if request.method in {"PUT", "POST"} and "uploadId" in request.query and answer.status == 500:
            return _NO_UPLOAD
        if request.method == "POST" and "uploadId" in request.query and answer.status == 200:
            self._completed.add(request.query["uploadId"])
        return answer

    def refusal(self, _request: Request) -> Answer | None:
        """Return what else this provider says no to."""
        return None


class Aws(Strict):
    """AWS takes an object only where its MD5 or another checksum is sent along, as buckets with object lock do."""

    def refusal(self, request: Request) -> Answer | None:
        if _sends_content(request) and "content-md5" not in request.headers:
            return error(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests")
        return None


class Backblaze(Strict):
    """Backblaze refuses headers it does not know."""

    def refusal(self, request: Request) -> Answer | None:
        for name in request.headers:
            if _CHECKSUM.match(name):
                return error(400, "InvalidArgument", f"Unsupported header '{name}' received for this API call.")
        if "x-amz-tagging" in request.headers or "x-amz-acl" in request.headers or "x-amz-website-redirect-location" in request.headers:
            return error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        if request.headers.get("x-amz-storage-class", "STANDARD") != "STANDARD":
            return error(400, "InvalidStorageClass", "The storage class you specified is not valid")
        return _not_by_path(request)


class Google(Strict):
    """Google knows neither checksums nor bodies in signed pieces, nor the removal of many objects at once."""

    def refusal(self, request: Request) -> Answer | None:
        if any(_CHECKSUM.match(name) for name in request.headers) or "aws-chunked" in request.headers.get("content-encoding", ""):
            return error(403, "SignatureDoesNotMatch", "Access denied.")
        if request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            return error(403, "SignatureDoesNotMatch", "Access denied.")
        if request.method == "POST" and "delete" in request.query:
            return error(501, "NotImplemented", "A header or query you provided requested a function that is not implemented.")
        if request.headers.get("x-amz-storage-class", "STANDARD") not in _GOOGLE_CLASSES:
            return error(400, "InvalidArgument", "Invalid argument.", Details="The specified storage class is not valid")
        return _not_by_path(request)

    def request(self, request: Request) -> Request | Answer:
        """Take ETags back as they were given."""
        asked = super().request(request)
        if isinstance(asked, Request) and "if-match" in asked.headers:
            return replace(asked, headers={**asked.headers, "if-match": asked.headers["if-match"].replace("google-", "")})
        return asked

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Give objects made of parts an ETag that is no MD5."""
        answer = super().answer(request, answer)
        found = _MULTIPART_ETAG.match(answer.headers.get("etag", ""))
        return replace(answer, headers={**answer.headers, "etag": f'"google-{found[1]}"'}) if found else answer


def _not_by_path(request: Request) -> Answer | None:
    return None if request.headers.get("host", "").startswith("127.0.0.1") else error(404, "NoSuchBucket")


def _sends_content(request: Request) -> bool:
    return request.method == "PUT" and request.path.count("/") > 1


STRICT: dict[Provider, type[Strict]] = {"aws": Aws, "backblaze": Backblaze, "gcs": Google}
