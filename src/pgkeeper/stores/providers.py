"""In what the providers differ, as far as it concerns us.

All of them check an MD5 that is sent along (`Content-MD5`). The newer checksums that boto3 would send by itself only AWS knows: Backblaze
refuses their headers, Google takes no body with a trailer. So MD5 it is, everywhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pgkeeper.off_site_settings import Provider

Right = Literal["list", "read", "write", "delete", "parts", "uploads", "abort"]


@dataclass(frozen=True)
class Quirks:
    """What is peculiar about a provider.

    `title`: for people. `rights`: what each right is called there. `etags_are_md5`: whether the ETag of an object tells the MD5 of its
    content, or of its parts' MD5s. `locks_versions`: whether a lock is on a version of an object, so that an object may be hidden, and seem
    removed, while it is locked.
    """

    title: str
    rights: Mapping[Right, str]
    etags_are_md5: bool
    locks_versions: bool


_S3_RIGHTS: Mapping[Right, str] = {
    "list": "s3:ListBucket",
    "read": "s3:GetObject",
    "write": "s3:PutObject",
    "delete": "s3:DeleteObject",
    "parts": "s3:ListMultipartUploadParts",
    "uploads": "s3:ListBucketMultipartUploads",
    "abort": "s3:AbortMultipartUpload",
}
_BACKBLAZE_RIGHTS: Mapping[Right, str] = {
    "list": "listFiles",
    "read": "readFiles",
    "write": "writeFiles",
    "delete": "deleteFiles",
    "parts": "writeFiles",
    "uploads": "listFiles",
    "abort": "writeFiles",
}
_GOOGLE_RIGHTS: Mapping[Right, str] = {
    "list": "storage.objects.list",
    "read": "storage.objects.get",
    # Writing an object that is there already takes the right to delete as well.
    "write": "storage.objects.create, and storage.objects.delete where the object is there already",
    "delete": "storage.objects.delete",
    "parts": "storage.multipartUploads.listParts",
    "uploads": "storage.multipartUploads.list",
    "abort": "storage.multipartUploads.abort",
}

_QUIRKS: Mapping[Provider, Quirks] = {
    "aws": Quirks("AWS", _S3_RIGHTS, etags_are_md5=True, locks_versions=True),
    "backblaze": Quirks("Backblaze", _BACKBLAZE_RIGHTS, etags_are_md5=False, locks_versions=True),
    "gcs": Quirks("Google Cloud Storage", _GOOGLE_RIGHTS, etags_are_md5=False, locks_versions=False),
}

_NO_UPLOAD = re.compile(r"no active upload", re.IGNORECASE)
_PART_NUMBER = re.compile(r"part.?number", re.IGNORECASE)
_BETWEEN = re.compile(r"between 1 and (\d+)")
_FEWEST_PARTS = 100
_USUAL_LIMIT = 1_000


def quirks(provider: Provider) -> Quirks:
    """Return what is peculiar about a provider."""
    return _QUIRKS[provider]


def missing_right(provider: Provider, right: Right) -> str:
    """Return what to allow, in S3's word and in the provider's own."""
    ours, theirs = _S3_RIGHTS[right], _QUIRKS[provider].rights[right]
    return ours if ours == theirs else f"{ours} ({_QUIRKS[provider].title}: {theirs})"


def says_no_such_upload(code: str, message: str) -> bool:
    """Tell whether an answer means that an upload is not known (any more)."""
    # Backblaze's own words for it, in an InvalidRequest.
    return code == "NoSuchUpload" or bool(_NO_UPLOAD.search(message))


def most_parts(code: str, message: str, number: int) -> int | None:
    """Return how many parts a provider takes that refused part `number` with this answer; None where the answer is about something else.

    AWS, Backblaze and Google take 10,000; some that speak S3 as well take 1,000. What is far below is taken for no limit: parts would not
    fit into memory.
    """
    if number <= _FEWEST_PARTS or not (code in {"InvalidPartNumber", "TooManyParts"} or _PART_NUMBER.search(message)):
        return None
    told = _BETWEEN.search(message)
    if told and _FEWEST_PARTS <= int(told[1]) < number:
        return int(told[1])
    # Several parts are on the line at once, and the one that was refused first need not be the first that is too much.
    return _USUAL_LIMIT if number > _USUAL_LIMIT else number - 1
