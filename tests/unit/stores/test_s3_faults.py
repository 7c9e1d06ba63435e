"""Buckets over lines that break, and at providers in trouble: what passes is got over, what lasts is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

import pytest

from pgkeeper.model.errors import IntegrityError
from pgkeeper.stores.bucket import Bucket, BucketUnreachableError
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.s3 import S3Bucket
from tests.contracts.bucket import MIB, BucketContract
from tests.integration.support.faulty_http import LASTING, Fault, Faulty, broken_after, error, method, with_headers
from tests.integration.support.http_proxy import Answer, HttpProxy, Request, http_proxy
from tests.integration.support.object_storage import bucket_settings, make_bucket
from tests.integration.support.strict_provider import Aws, Backblaze, Google

PATIENT = Patience(seconds=20, first_pause=0.002, longest_pause=0.005)
HASTY = Patience(seconds=0.2, first_pause=0.01, longest_pause=0.05)


def carries_content(request: Request) -> bool:
    return request.method == "PUT" and int(request.headers.get("content-length", 0)) > 0


def expects_a_document(request: Request) -> bool:
    return request.method in {"POST", "PUT"} or (request.method == "GET" and bool(request.query))


def begins_no_upload(request: Request) -> bool:
    return not (request.method == "POST" and "uploads" in request.query)


@contextmanager
def bucket_behind(storage: str, *faults: Fault, patience: Patience = PATIENT) -> Iterator[tuple[S3Bucket, HttpProxy]]:
    """Yield a bucket at AWS behind a line with faults, and that line."""
    with http_proxy(storage, Aws()) as strict, http_proxy(strict.url, Faulty(*faults)) as line:
        yield S3Bucket(bucket_settings(line.url, make_bucket(storage)), patience), line


PASSING: dict[str, tuple[dict[str, Any], ...]] = {
    "trouble with requests": (
        {"resets_request_after": 0},
        {"on": carries_content, "resets_request_after": 3},
        {"on": carries_content, "flips_request_at": 2},
        {"instead": error(500, "InternalError", "We encountered an internal error. Please try again.")},
        {"instead": error(503, "SlowDown", "Please reduce your request rate.", {"retry-after": "0"})},
        {"instead": Answer(502, {"content-type": "text/html"}, b"<html>")},
    ),
    "trouble with answers": (
        # Nobody knows of an upload that was begun while the answer was lost; see below.
        {"on": begins_no_upload, "loses_answer": True},
        {"on": expects_a_document, "instead": error(200, "InternalError")},
        {"on": method("GET"), "changes_answer": broken_after(1)},
        {"on": method("GET"), "changes_answer": broken_after(200, reset=True)},
    ),
    "answers of somebody else": (
        {"instead": Answer(200, {"content-type": "text/html", "etag": '"1"', "last-modified": formatdate(usegmt=True)}, b"<html></html>")},
        {"on": lambda request: request.method != "HEAD", "instead": Answer(404, {"content-type": "text/html"}, b"<html>Not found</html>")},
        {"on": expects_a_document, "instead": Answer(200, {"content-type": "application/xml"}, b"<ListAllMyBucketsResult/>")},
    ),
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING.keys())
class TestFaultsThatPass(BucketContract):
    """The whole contract, while each request fails in all of these ways before it succeeds."""

    @pytest.fixture
    def bucket(self, storage: str, faults: tuple[dict[str, Any], ...]) -> Iterator[Bucket]:
        with bucket_behind(storage, *[Fault(**fault, once_each=True) for fault in faults]) as (bucket, _line):
            yield bucket


LASTING_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "reset": ({"resets_request_after": 0}, "does not answer"),
    "reset within a body": ({"on": carries_content, "resets_request_after": 3}, "does not answer"),
    "500": ({"instead": error(500, "InternalError", "We encountered an internal error.")}, "AWS answered 500 InternalError We encountered"),
    "503": ({"instead": error(503, "SlowDown", "Please reduce your request rate.")}, "503 SlowDown"),
    "429": ({"instead": error(429, "TooManyRequests")}, "429 TooManyRequests"),
    "bits flipped": ({"on": carries_content, "flips_request_at": 2}, "BadDigest"),
}


@pytest.mark.parametrize(("fault", "words"), LASTING_FAULTS.values(), ids=LASTING_FAULTS.keys())
def test_what_lasts_longer_than_our_patience_is_told(storage: str, fault: dict[str, Any], words: str) -> None:
    with bucket_behind(storage, Fault(**fault, times=LASTING), patience=HASTY) as (bucket, line):
        with pytest.raises(BucketUnreachableError, match=words):
            bucket.put("x", b"content")
        assert len(line.requests) > 2, "it was not tried again"


def test_a_cut_body_goes_on_where_it_was_cut(storage: str) -> None:
    content = os.urandom(5 * MIB)
    cuts = [Fault(method("GET"), changes_answer=broken_after(2 * MIB + 7)) for _ in range(2)]
    with bucket_behind(storage, *cuts) as (bucket, line):
        bucket.put("x", content)
        assert b"".join(bucket.read("x")) == content
        first, *others = [request.headers for request in line.requests if request.method == "GET"]
        assert "range" not in first
        assert [one["range"] for one in others] == [f"bytes={2 * MIB + 7}-{5 * MIB - 1}", f"bytes={4 * MIB + 14}-{5 * MIB - 1}"]
        assert all(one["if-match"] for one in others)


def test_a_body_that_keeps_being_cut_does_not_go_on_for_ever(storage: str) -> None:
    fault = Fault(method("GET"), times=LASTING, changes_answer=broken_after(0))
    with bucket_behind(storage, fault, patience=HASTY) as (bucket, _line):
        bucket.put("x", bytes(100))
        with pytest.raises(BucketUnreachableError, match="does not answer"):
            list(bucket.read("x"))


def test_a_body_that_is_cut_again_and_again_is_read_as_long_as_it_gets_on(storage: str) -> None:
    fault = Fault(method("GET"), times=LASTING, changes_answer=broken_after(1000))
    with bucket_behind(storage, fault, patience=HASTY) as (bucket, _line):
        content = os.urandom(64_000)
        bucket.put("x", content)
        assert b"".join(bucket.read("x")) == content


def test_an_object_that_is_replaced_while_it_is_read_is_noticed(storage: str) -> None:
    with bucket_behind(storage, Fault(method("GET"), changes_answer=broken_after(2 * MIB))) as (bucket, _line):
        bucket.put("x", bytes(4 * MIB))
        pieces = bucket.read("x")
        next(pieces)
        bucket.put("x", os.urandom(4 * MIB))
        with pytest.raises(IntegrityError, match="replaced"):
            list(pieces)


def test_an_upload_whose_beginning_was_not_answered_is_found_among_the_unfinished(storage: str) -> None:
    with bucket_behind(storage, Fault(method("POST", "uploads"), loses_answer=True)) as (bucket, _line):
        known = bucket.begin_upload("x")
        assert [one.upload_id == known for one in bucket.unfinished_uploads()].count(True) == 1
        assert len(list(bucket.unfinished_uploads())) == 2


COMPLETES = method("POST", "uploadId")


@pytest.mark.parametrize("fault", [{"loses_answer": True}, {"instead": error(200, "InternalError")}, {"delay": 0.1}])
def test_a_completion_that_was_not_heard_of_is_done_once(storage: str, fault: dict[str, Any]) -> None:
    with bucket_behind(storage, Fault(COMPLETES, **fault)) as (bucket, _line):
        upload = bucket.begin_upload("x")
        bucket.complete_upload("x", upload, [bucket.send_part("x", upload, 1, b"content")])
        assert b"".join(bucket.read("x")) == b"content"


def test_an_error_within_a_200_is_an_error(storage: str) -> None:
    fault = Fault(COMPLETES, times=LASTING, instead=error(200, "InternalError", "Please try again."))
    with bucket_behind(storage, fault, patience=HASTY) as (bucket, _line):
        upload = bucket.begin_upload("x")
        with pytest.raises(BucketUnreachableError, match="Please try again"):
            bucket.complete_upload("x", upload, [bucket.send_part("x", upload, 1, b"content")])
        assert bucket.head("x") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_headers(content_length="8"), "it has 8 bytes, 7 were sent"),
        (with_headers(etag=f'"{"0" * 32}-1"'), "its ETag is 0"),
        (lambda _answer: error(404, "NoSuchKey"), "it is not there"),
    ],
)
def test_an_object_that_is_not_made_of_its_parts_is_noticed(storage: str, change: Any, words: str) -> None:  # noqa: ANN401
    with bucket_behind(storage, Fault(method("HEAD"), changes_answer=change)) as (bucket, _line):
        upload = bucket.begin_upload("x")
        with pytest.raises(IntegrityError, match=words):
            bucket.complete_upload("x", upload, [bucket.send_part("x", upload, 1, b"content")])


@pytest.mark.parametrize(
    "encryption", [{"x_amz_server_side_encryption": "aws:kms"}, {"x_amz_server_side_encryption_customer_algorithm": "AES256"}]
)
def test_an_etag_that_is_no_md5_by_the_buckets_encryption_is_not_taken_for_one(storage: str, encryption: dict[str, str]) -> None:
    change = with_headers(etag=f'"{"0" * 32}-1"', **encryption)
    with bucket_behind(storage, Fault(method("HEAD"), changes_answer=change)) as (bucket, _line):
        upload = bucket.begin_upload("x")
        bucket.complete_upload("x", upload, [bucket.send_part("x", upload, 1, b"content")])


@pytest.mark.parametrize("strict", [Backblaze, Google])
def test_boto3_left_to_itself_is_refused(storage: str, strict: type[Backblaze | Google]) -> None:
    """What our own adapter is spared is what these providers refuse."""
    import boto3
    from botocore.exceptions import ClientError

    with http_proxy(storage, strict()) as proxy:
        client = boto3.session.Session("x", "x", region_name="auto").client("s3", endpoint_url=proxy.url)
        with pytest.raises(ClientError, match=r"Unsupported header|SignatureDoesNotMatch"):
            client.put_object(Bucket=make_bucket(storage), Key="x", Body=b"x")
