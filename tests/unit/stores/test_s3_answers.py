"""What answers in a bucket's place, or speaks of something else, is not believed; least of all that there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pgkeeper.off_site_settings import Provider
from pgkeeper.stores import s3_answers, s3_bounds
from pgkeeper.stores.bucket import BucketRefusedError, BucketUnreachableError, SentPart
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.s3 import S3Bucket
from tests.integration.support.faulty_http import LASTING, Fault, Faulty, error, method, with_headers
from tests.integration.support.http_proxy import Answer, Hands, HttpProxy, Request, http_proxy
from tests.integration.support.object_storage import bucket_settings, make_bucket

HASTY = Patience(seconds=0.05, first_pause=0.01, longest_pause=0.05)
PAGE = b"<html><head><title>Welcome</title></head><body><h1>Please log in</h1></body></html>"
SINCE = "Mon, 05 Jan 2026 10:00:00 GMT"
STATIC = {"content-type": "text/html", "etag": '"5f3c-61a"', "last-modified": SINCE, "content-length": str(len(PAGE))}
XML = {"content-type": "application/xml"}


@contextmanager
def lying(
    storage: str,
    *faults: Fault,
    provider: Provider = "aws",
    hands: Hands | None = None,
) -> Iterator[tuple[S3Bucket, HttpProxy]]:
    with http_proxy(storage, hands or Faulty(*faults)) as proxy:
        yield S3Bucket(bucket_settings(proxy.url, make_bucket(storage), provider), HASTY), proxy


ACTS: dict[str, Callable[[S3Bucket], object]] = {
    "list": lambda bucket: list(bucket.list("host/")),
    "head": lambda bucket: bucket.head("x"),
    "read": lambda bucket: list(bucket.read("x")),
    "read a part": lambda bucket: list(bucket.read("x", 2, 4)),
    "put": lambda bucket: bucket.put("x", b"content"),
    "begin": lambda bucket: bucket.begin_upload("x"),
    "send": lambda bucket: bucket.send_part("x", "1", 1, b"content"),
    "parts": lambda bucket: bucket.sent_parts("x", "1"),
    "complete": lambda bucket: bucket.complete_upload("x", "1", [SentPart(1, 7, "0" * 32)]),
    "abort": lambda bucket: bucket.abort_upload("x", "1"),
    "unfinished": lambda bucket: list(bucket.unfinished_uploads("host/")),
    "delete": lambda bucket: bucket.delete("x"),
}
LIES: dict[str, Answer] = {
    "a login page": Answer(200, STATIC, PAGE),
    "a list of buckets": Answer(
        200, XML, b'<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Buckets/></ListAllMyBucketsResult>'
    ),
    "account suspended": Answer(200, {"content-type": "application/json"}, b'{"status": "account suspended"}'),
    "nothing, later": Answer(202, {"etag": f'"{"0" * 32}"', "last-modified": SINCE, "content-length": "0"}),
    "a page that is not there": Answer(404, STATIC, PAGE),
    "a page that may not be seen": Answer(403, STATIC, PAGE),
}


@pytest.mark.parametrize("provider", ["aws", "gcs"])
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_who_is_not_the_provider_is_believed_nothing(storage: str, lie: Answer, provider: Provider) -> None:
    with lying(storage, Fault(times=LASTING, instead=lie), provider=provider) as (bucket, _proxy):
        for act in ACTS.values():
            with pytest.raises(BucketUnreachableError, match=r"another answer than to what was asked|answered 40[34]") as caught:
                act(bucket)
            assert "BACKUP_CLOUD_ENDPOINT_URL" in caught.value.hint
            assert caught.value.exit_status == 1


def test_a_page_does_not_tell_the_time(storage: str) -> None:
    fault = Fault(times=LASTING, instead=LIES["a login page"])
    with lying(storage, fault) as (bucket, _proxy), pytest.raises(BucketUnreachableError, match="another answer"):
        bucket.clock_skew()


def test_that_an_object_is_not_there_is_believed_of_its_bucket_only(storage: str) -> None:
    """Any web server answers HEAD with 404, and so does a provider when the bucket is gone."""
    with lying(storage) as (bucket, _proxy):
        assert bucket.head("x") is None
    gone = S3Bucket(bucket_settings(storage, "no-such-bucket"), HASTY)
    with pytest.raises(BucketRefusedError, match="there is no bucket no-such-bucket"):
        gone.head("x")


def listing(
    name: str = "BUCKET", prefix: str = "pgkeeper/host/", keys: tuple[str, ...] = (), more: str = "", truncated: str = "false"
) -> bytes:
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified></Contents>" for key in keys
    )
    said = f"<Name>{name}</Name><Prefix>{prefix}</Prefix><IsTruncated>{truncated}</IsTruncated>{more}{contents}"
    return f"<ListBucketResult>{said}</ListBucketResult>".encode()


H = "pgkeeper/host/"
LISTINGS: dict[str, tuple[bytes, str]] = {
    "of another bucket": (listing(name="other"), "bucket other"),
    "of no bucket": (listing().replace(b"<Name>BUCKET</Name>", b""), "no Name"),
    "of another prefix": (listing(prefix="pgkeeper/"), "Prefix 'pgkeeper/'"),
    "of no prefix": (listing().replace(b"<Prefix>pgkeeper/host/</Prefix>", b""), "Prefix ''"),
    "of another host": (listing(keys=("pgkeeper/other/owner.json",)), "lists 'pgkeeper/other/owner.json'"),
    "that goes back": (listing(keys=(H + "b", H + "a")), "goes back"),
    "that stands still": (listing(keys=(H + "a", H + "a")), "goes back"),
    "without an end": (listing().replace(b"<IsTruncated>false</IsTruncated>", b""), "no IsTruncated"),
    "that does not say how it goes on": (listing(truncated="true"), "no NextContinuationToken"),
    "without a size": (listing(keys=(H + "a",)).replace(b"<Size>1</Size>", b""), "no Size"),
    "without a time": (
        listing(keys=(H + "a",)).replace(b"<LastModified>2026-01-02T03:04:05Z</LastModified>", b""), "no LastModified",
    ),
    "that is cut off": (listing(keys=(H + "a",))[:-20], "answer"),
}  # fmt: skip


@pytest.mark.parametrize(("page", "words"), LISTINGS.values(), ids=LISTINGS.keys())
def test_a_listing_is_believed_only_of_what_was_asked(storage: str, page: bytes, words: str) -> None:
    hands = Pages(lambda _number: page)
    with lying(storage, hands=hands) as (bucket, _proxy), pytest.raises(BucketUnreachableError, match=words):
        list(bucket.list("host/"))


def test_a_listing_of_what_was_asked_is_believed(storage: str) -> None:
    with lying(storage, hands=Pages(lambda _number: listing(keys=(H + "a", H + "b")))) as (bucket, _proxy):
        assert [one.key for one in bucket.list("host/")] == ["host/a", "host/b"]


class Pages(Hands):
    """Answers each request for a listing with the page of its number; `BUCKET` becomes the bucket's name."""

    def __init__(self, page: Callable[[int], bytes]) -> None:
        self._page = page
        self.served = 0

    def request(self, request: Request) -> Request | Answer:
        if request.method != "GET" or "list-type" not in request.query:
            return request
        self.served += 1
        return Answer(200, XML, self._page(self.served - 1).replace(b"BUCKET", request.path.split("/")[1].encode()))


ENDLESS: dict[str, tuple[Callable[[int], bytes], str]] = {
    "always the same": (
        lambda _number: listing(keys=(H + "a",), truncated="true", more="<NextContinuationToken>1</NextContinuationToken>"),
        "goes back",
    ),
    "empty, in a circle": (
        lambda number: listing(truncated="true", more=f"<NextContinuationToken>{number % 2}</NextContinuationToken>"),
        "in a circle",
    ),
    "empty, ever on": (
        lambda number: listing(truncated="true", more=f"<NextContinuationToken>{number}</NextContinuationToken>"),
        "does not end",
    ),
    "ever new keys": (
        lambda number: listing(
            keys=(f"{H}{number:06}a", f"{H}{number:06}b"),
            truncated="true",
            more=f"<NextContinuationToken>{number}</NextContinuationToken>",
        ),
        "does not end: it has 50 entries",
    ),
}


@pytest.mark.parametrize(("page", "words"), ENDLESS.values(), ids=ENDLESS.keys())
def test_a_listing_that_never_ends_ends_with_an_error(
    storage: str, page: Callable[[int], bytes], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_answers, "MOST_ENTRIES", 50)
    monkeypatch.setattr(s3_answers, "MOST_EMPTY_PAGES", 20)
    hands = Pages(page)
    with lying(storage, hands=hands) as (bucket, _proxy), pytest.raises(BucketUnreachableError, match=words):
        list(bucket.list("host/"))
    assert hands.served < 60


def parts(upload: str, key: str = "pgkeeper/x", numbers: tuple[int, ...] = (1,), truncated: str = "false") -> Answer:
    entries = "".join(f'<Part><PartNumber>{number}</PartNumber><Size>7</Size><ETag>"e"</ETag></Part>' for number in numbers)
    said = f"<Key>{key}</Key><UploadId>{upload}</UploadId><IsTruncated>{truncated}</IsTruncated>"
    return Answer(200, XML, f"<ListPartsResult>{said}{entries}</ListPartsResult>".encode())


OTHERS: dict[str, tuple[Answer, Callable[[S3Bucket], object], str]] = {
    "parts of another upload": (parts("2"), ACTS["parts"], "UploadId '2', asked was '1'"),
    "parts of another object": (parts("1", "pgkeeper/y"), ACTS["parts"], "Key 'pgkeeper/y'"),
    "a part twice": (parts("1", numbers=(1, 1)), ACTS["parts"], "goes back"),
    "uploads of another host": (
        Answer(200, XML, (
            b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>pgkeeper/other/x</Key><UploadId>1</UploadId>"
            b"<Initiated>2026-01-02T03:04:05Z</Initiated></Upload></ListMultipartUploadsResult>"
        )), ACTS["unfinished"], "lists 'pgkeeper/other/x'",
    ),
    "another object's upload": (
        Answer(200, XML, (
            b"<InitiateMultipartUploadResult><Key>pgkeeper/y</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        )), ACTS["begin"], "Key 'pgkeeper/y'",
    ),
    "no upload": (
        Answer(200, XML, b"<InitiateMultipartUploadResult><Key>pgkeeper/x</Key></InitiateMultipartUploadResult>"),
        ACTS["begin"], "no UploadId",
    ),
    "another object completed": (
        Answer(200, XML, b"<CompleteMultipartUploadResult><Key>pgkeeper/y</Key><ETag>e</ETag></CompleteMultipartUploadResult>"),
        ACTS["complete"], "Key 'pgkeeper/y'",
    ),
    "no ETag of an object": (Answer(200), ACTS["put"], "no ETag"),
    "no ETag of a part": (Answer(200), ACTS["send"], "no ETag"),
    "another content": (Answer(200, {"etag": f'"{"0" * 32}"'}), ACTS["put"], "its ETag is 0{32}, that of what was sent is 9a0364"),
    "another part": (Answer(200, {"etag": f'"{"0" * 32}"'}), ACTS["send"], "its ETag is 0{32}, that of what was sent is 9a0364"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "act", "words"), OTHERS.values(), ids=OTHERS.keys())
def test_an_answer_about_something_else_is_not_believed(
    storage: str, answer: Answer, act: Callable[[S3Bucket], object], words: str
) -> None:
    with lying(storage, Fault(times=LASTING, instead=answer)) as (bucket, _proxy), pytest.raises(BucketUnreachableError, match=words):
        act(bucket)


@pytest.mark.parametrize("headers", [{"x_amz_server_side_encryption": "aws:kms"}, {"etag": '"an-etag-of-another-kind"'}])
def test_an_etag_that_is_no_md5_is_not_taken_for_one(storage: str, headers: dict[str, str]) -> None:
    change = with_headers(**{"etag": f'"{"0" * 32}"', **headers})
    with lying(storage, Fault(method("PUT"), times=LASTING, changes_answer=change)) as (bucket, _proxy):
        bucket.put("x", b"content")


@pytest.mark.parametrize("content_range", ["bytes 0-9/100", "bytes 9-19/100", "bytes 10-18/100", "bytes 10-29/100", ""])
def test_another_range_than_was_asked_for_is_not_believed(storage: str, content_range: str) -> None:
    fault = Fault(method("GET"), times=LASTING, changes_answer=with_headers(content_range=content_range))
    with lying(storage, fault) as (bucket, _proxy):
        bucket.put("x", bytes(100))
        with pytest.raises(BucketUnreachableError, match="asked for bytes from 10 to 20, the provider gave "):
            list(bucket.read("x", 10, 20))


def test_another_version_than_was_asked_for_is_not_believed(storage: str) -> None:
    other = Fault(lambda request: "if-match" in request.headers, times=LASTING, changes_answer=with_headers(etag='"other"'))
    cut = Fault(method("GET"), changes_answer=lambda answer: Answer(answer.status, answer.headers, answer.body, breaks_after=2 << 20))
    with lying(storage, cut, other) as (bucket, _proxy):
        bucket.put("x", bytes(4 << 20))
        with pytest.raises(BucketUnreachableError, match="ETag '\"other\"'"):
            list(bucket.read("x"))


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize(("bound", "value"), [("MOST_BYTES", 1 << 20), ("MOST_SECONDS", 0.0)])
def test_an_answer_that_does_not_end_is_not_read_to_its_end(
    storage: str, status: int, bound: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lying(storage, Fault(method("GET"), times=LASTING, instead=Answer(status, XML, b" " * (2 << 20)))) as (bucket, _proxy):
        monkeypatch.setattr(s3_bounds, bound, value)
        with pytest.raises(BucketUnreachableError, match="it does not end"):
            list(bucket.list("host/"))
        with pytest.raises(BucketUnreachableError, match="it does not end" if status == 403 else "has no ETag"):
            list(bucket.read("x"))


def test_an_object_is_read_however_large_and_slow_it_is(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_bounds, "MOST_BYTES", 1000)
    with lying(storage) as (bucket, _proxy):
        bucket.put("x", bytes(3 << 20))
        monkeypatch.setattr(s3_bounds, "MOST_SECONDS", 0.0)
        assert b"".join(bucket.read("x")) == bytes(3 << 20)


def test_a_bucket_may_be_asked_for_by_the_alias_of_an_access_point(storage: str) -> None:
    with http_proxy(storage, Pages(lambda _number: listing(name="its-own-name", prefix="pgkeeper/"))) as proxy:
        assert not list(S3Bucket(bucket_settings(proxy.url, "point-0123456789-s3alias"), HASTY).list())


def test_what_nobody_has_checked_is_not_asked(storage: str) -> None:
    """A request of a new kind needs a check of its answer first."""
    requests: Any = S3Bucket(bucket_settings(storage, make_bucket(storage)), HASTY)._requests
    with pytest.raises(LookupError):
        requests.client.list_buckets()


def test_a_provider_that_refuses_is_still_heard(storage: str) -> None:
    with lying(storage, Fault(times=LASTING, instead=error(404, "NoSuchBucket"))) as (bucket, _proxy):
        for act in ACTS.values():
            with pytest.raises(BucketRefusedError, match="there is no bucket"):
                act(bucket)
