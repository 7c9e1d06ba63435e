"""A bucket at each provider, over good lines and bad ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest

from pgkeeper.off_site_settings import Provider
from pgkeeper.stores.bucket import Bucket, UnfinishedUpload
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.s3 import S3Bucket
from tests.contracts.bucket import BucketContract
from tests.integration.support.faulty_http import LASTING, Fault, Faulty, method
from tests.integration.support.http_proxy import Answer, Hands, Request, http_proxy
from tests.integration.support.object_storage import bucket_settings, make_bucket
from tests.integration.support.strict_provider import STRICT

HASTY = Patience(seconds=0.2, first_pause=0.01, longest_pause=0.05)


@pytest.fixture(params=get_args(Provider))
def provider(request: pytest.FixtureRequest) -> Provider:
    return request.param  # type: ignore[no-any-return]


class TestStrictProvider(BucketContract):
    """The whole contract, at providers as strict as the real ones."""

    @pytest.fixture
    def bucket(self, storage: str, provider: Provider) -> Iterator[Bucket]:
        with http_proxy(storage, STRICT[provider]()) as proxy:
            yield S3Bucket(bucket_settings(proxy.url, make_bucket(storage), provider), HASTY)


class Paged(Hands):
    """Gives lists of parts in pages of two, and lists of uploads as they would be in pages of one."""

    def request(self, request: Request) -> Request | Answer:
        if request.method == "GET" and "uploadId" in request.query:
            return replace(request, target=f"{request.target}&max-parts=2")
        if request.method == "GET" and "uploads" in request.query:
            return _uploads(request.query.get("key-marker", ""), request.query.get("upload-id-marker", ""))
        return request


def _uploads(key: str, upload_id: str) -> Answer:
    last = (key, upload_id) == ("pgkeeper/x", "1")
    page = f"""<?xml version="1.0" encoding="UTF-8"?>
        <ListMultipartUploadsResult><IsTruncated>{"false" if last else "true"}</IsTruncated>
        <NextKeyMarker>pgkeeper/x</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>
        <Upload><Key>pgkeeper/x</Key><UploadId>{2 if last else 1}</UploadId><Initiated>2026-01-02T03:04:05.678Z</Initiated></Upload>
        </ListMultipartUploadsResult>"""
    return Answer(200, {"content-type": "application/xml"}, page.strip().encode())


def test_lists_of_several_pages_are_read_to_their_end(storage: str) -> None:
    with http_proxy(storage, Paged()) as proxy:
        bucket = S3Bucket(bucket_settings(proxy.url, make_bucket(storage)), HASTY)
        upload = bucket.begin_upload("x")
        sent = tuple(bucket.send_part("x", upload, number, b"%d" % number) for number in range(1, 6))
        assert bucket.sent_parts("x", upload) == sent
        at = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
        assert list(bucket.unfinished_uploads()) == [UnfinishedUpload("x", "1", at), UnfinishedUpload("x", "2", at)]


def test_the_empty_object_of_a_folder_is_not_listed(storage: str) -> None:
    bucket = S3Bucket(bucket_settings(storage, make_bucket(storage)), HASTY)
    bucket.put("", b"")
    bucket.put("x", b"")
    assert [one.key for one in bucket.list()] == ["x"]


def test_removing_what_is_not_there_leaves_no_mark(storage: str) -> None:
    """A bucket with versions would keep a mark for every removal."""
    with http_proxy(storage, Hands()) as proxy:
        S3Bucket(bucket_settings(proxy.url, make_bucket(storage)), HASTY).delete("x")
        assert "DELETE" not in {one.method for one in proxy.requests}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-01-02T03:04:05.678Z", datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)),
        ("2026-01-02T03:04:05.678901Z", datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
        ("Fri, 02 Jan 2026 03:04:05 GMT", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
        ("1767323045", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
    ],
)
def test_a_time_is_understood_in_whatever_form_a_provider_gives_it(storage: str, said: str, meant: datetime) -> None:
    name = make_bucket(storage)
    page = f"""<ListBucketResult><Name>{name}</Name><Prefix>pgkeeper/</Prefix><IsTruncated>false</IsTruncated>
        <Contents><Key>pgkeeper/x</Key><Size>1</Size><LastModified>{said}</LastModified></Contents></ListBucketResult>"""
    with http_proxy(storage, Faulty(Fault(method("GET"), times=LASTING, instead=Answer(200, {}, page.encode())))) as proxy:
        (one,) = S3Bucket(bucket_settings(proxy.url, name), HASTY).list()
        assert one.modified_at == meant


class Generous(Hands):
    """Gives all of an object to whoever asks for a part of it."""

    def request(self, request: Request) -> Request | Answer:
        return replace(request, headers={name: value for name, value in request.headers.items() if name != "range"})


@pytest.mark.parametrize("end", [1, 1000, (1 << 20) + 1])
def test_of_a_provider_that_sends_more_than_was_asked_for_no_more_is_taken(storage: str, end: int) -> None:
    content = os.urandom(3 << 20)
    with http_proxy(storage, Generous()) as proxy:
        bucket = S3Bucket(bucket_settings(proxy.url, make_bucket(storage)), HASTY)
        bucket.put("x", content)
        assert b"".join(bucket.read("x", 0, end)) == content[:end]


def test_one_connection_serves_many_reads(storage: str) -> None:
    with http_proxy(storage, Hands()) as proxy:
        bucket = S3Bucket(bucket_settings(proxy.url, make_bucket(storage)), HASTY)
        bucket.put("x", b"content")
        before = proxy.connections
        for _ in range(5):
            assert b"".join(bucket.read("x", 0, 7)) == b"".join(bucket.read("x"))
        assert proxy.connections == before


def test_several_threads_use_one_bucket(storage: str) -> None:
    bucket = S3Bucket(bucket_settings(storage, make_bucket(storage)), HASTY)

    def use(number: int) -> bytes:
        bucket.put(str(number), bytes([number]) * 1000)
        return b"".join(bucket.read(str(number)))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(40))) == [bytes([number]) * 1000 for number in range(40)]
