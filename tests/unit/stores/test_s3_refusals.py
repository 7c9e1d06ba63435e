"""What a provider refuses is told at once, with what to do about it, and without a secret."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pgkeeper.model.errors import PgkeeperError
from pgkeeper.off_site_settings import BucketSettings, Provider
from pgkeeper.stores import s3_client
from pgkeeper.stores.bucket import BucketRefusedError, BucketUnreachableError, ObjectLockedError
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.s3 import S3Bucket
from tests.integration.support.certificates import certificate, server_context
from tests.integration.support.faulty_http import LASTING, Fault, Faulty, any_request, error, method
from tests.integration.support.http_proxy import Answer, Hands, HttpProxy, Request, http_proxy
from tests.integration.support.object_storage import KEY, KEY_ID, bucket_settings, make_bucket
from tests.integration.support.ports import free_port

HASTY = Patience(seconds=0.2, first_pause=0.01, longest_pause=0.05)


@contextmanager
def refusing(
    storage: str,
    answer: Answer,
    on: Callable[[Request], bool] = any_request,
    **settings: Any,  # noqa: ANN401
) -> Iterator[tuple[S3Bucket, HttpProxy]]:
    """Yield a bucket whose provider answers like this, and what is in between."""
    with http_proxy(storage, Faulty(Fault(on, times=LASTING, instead=answer))) as proxy:
        yield S3Bucket(bucket_settings(proxy.url, make_bucket(storage), **settings), HASTY), proxy


REFUSALS: dict[str, tuple[Answer, dict[str, Any], str]] = {
    "no such key id": (
        error(403, "InvalidAccessKeyId", f"The key {KEY_ID} you provided does not exist."), {},
        "does not know the key id .check AWS_ACCESS_KEY_ID",
    ),
    "at Backblaze": (error(403, "InvalidAccessKeyId", "Malformed Access Key Id"), {"provider": "backblaze"}, "check BACKBLAZE_KEY_ID"),
    "of the replica": (error(403, "InvalidAccessKeyId"), {"store": "replica", "provider": "gcs"}, "check BACKUP_REPLICA_KEY_ID"),
    "another key": (error(403, "SignatureDoesNotMatch"), {}, "not the one that belongs to the key id .check AWS_SECRET_ACCESS_KEY"),
    "expired": (error(400, "ExpiredToken", "The provided token has expired."), {}, "the credentials have expired"),
    "no right": (error(403, "AccessDenied", "Access Denied"), {}, "the key lacks s3:PutObject "),
    "no right at Backblaze": (
        error(403, "AccessDenied"), {"provider": "backblaze"}, "lacks s3:PutObject .Backblaze: writeFiles"
    ),
    "no right at Google": (
        error(403, "AccessDenied"), {"provider": "gcs"}, "lacks s3:PutObject .Google Cloud Storage: storage.objects.create"
    ),
    "no bucket": (error(404, "NoSuchBucket"), {}, "there is no bucket bucket-.*check AWS_S3_BUCKET"),
    "region": (error(400, "AuthorizationHeaderMalformed", Region="eu-west-1"), {}, "not in region eu-central-1.*it is in eu-west-1"),
    "region, by a header": (error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "us-west-2"}), {}, "it is in us-west-2"),
    "region, not told": (error(301, "PermanentRedirect"), {}, "not in region eu-central-1"),
    "cap": (
        error(403, "AccessDenied", "Cannot upload files, storage cap exceeded. See the Caps"), {"provider": "backblaze"}, "Caps & Alerts"
    ),
    "storage class": (
        error(400, "InvalidStorageClass"), {"storage_class": "COLD"}, "no storage class COLD .check BACKUP_CLOUD_STORAGE_CLASS"
    ),
    "not implemented": (error(501, "NotImplemented", "A header is not implemented"), {}, "answered 501 NotImplemented A header"),
    "something new": (error(402, "PaymentRequired", f"Pay for {KEY_ID}:{KEY} first"), {}, r"402 PaymentRequired Pay for \*\*\*:"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "settings", "words"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_told_with_what_to_do(storage: str, answer: Answer, settings: dict[str, Any], words: str) -> None:
    with refusing(storage, answer, method("PUT"), **settings) as (bucket, proxy):
        with pytest.raises(BucketRefusedError, match=words) as caught:
            bucket.put("x", b"content")
        assert str(caught.value).startswith(f"cannot write {bucket.name}/x: ")
        _say_no_secret(caught.value)
        puts = [request for request in proxy.requests if request.method == "PUT"]
        assert len(puts) <= 2, "what is in vain was tried again"


@pytest.mark.parametrize("told_in", ["the answer", "its header"])
def test_a_clock_that_is_wrong_is_told_with_how_far_it_is(storage: str, told_in: str) -> None:
    # Reckoned when the test is run: the whole suite may take longer than the difference is exact.
    if told_in == "the answer":
        theirs = datetime.now(UTC) + timedelta(seconds=7190)
        answer, words = error(403, "RequestTimeTooSkewed", ServerTime=theirs.isoformat()), "clock is 7[01][0-9]{2} s behind the provider's"
    else:
        date = format_datetime(datetime.now(UTC) - timedelta(hours=2), usegmt=True)
        answer, words = error(403, "RequestTimeTooSkewed", headers={"date": date}), "clock is 7[0-9]{3} s ahead of the provider's"
    test_a_refusal_is_told_with_what_to_do(storage, answer, {}, f"this host's {words}")


def _say_no_secret(error: PgkeeperError) -> None:
    for text in (str(error), repr(error), repr(error.info)):
        assert KEY not in text
        assert KEY_ID not in text
        assert "\n" not in text


RIGHTS: dict[str, Callable[[S3Bucket], object]] = {
    "s3:ListBucket ": lambda bucket: list(bucket.list()),
    "s3:GetObject ": lambda bucket: list(bucket.read("x")),
    "s3:PutObject ": lambda bucket: bucket.begin_upload("x"),
    "s3:ListMultipartUploadParts": lambda bucket: bucket.sent_parts("x", "1"),
    "s3:ListBucketMultipartUploads": lambda bucket: list(bucket.unfinished_uploads()),
    "s3:AbortMultipartUpload": lambda bucket: bucket.abort_upload("x", "1"),
}


@pytest.mark.parametrize(("right", "act"), RIGHTS.items(), ids=RIGHTS.keys())
def test_the_right_that_is_missing_is_named(storage: str, right: str, act: Callable[[S3Bucket], object]) -> None:
    with refusing(storage, error(403, "AccessDenied")) as (bucket, _proxy), pytest.raises(BucketRefusedError, match=right):
        act(bucket)


def test_the_right_to_delete_is_named(storage: str) -> None:
    with refusing(storage, error(403, "AccessDenied"), method("DELETE")) as (bucket, _proxy):
        bucket.put("x", b"x")
        with pytest.raises(BucketRefusedError, match="s3:DeleteObject"):
            bucket.delete("x")


def test_whoever_may_not_look_may_still_remove(storage: str) -> None:
    with refusing(storage, error(403, "AccessDenied"), method("HEAD")) as (bucket, _proxy):
        bucket.put("x", b"x")
        bucket.delete("x")
        assert not list(bucket.list())


def test_a_look_that_is_refused_without_a_word_is_explained(storage: str) -> None:
    for on, code, words in (
        (any_request, "InvalidAccessKeyId", "does not know the key id"),
        (method("HEAD"), "AccessDenied", "s3:GetObject"),
    ):
        with refusing(storage, error(403, code), on) as (bucket, _proxy), pytest.raises(BucketRefusedError, match=words):
            bucket.head("x")


def test_an_object_in_an_archive_is_told(storage: str) -> None:
    answer = error(403, "InvalidObjectState")
    with refusing(storage, answer, method("GET")) as (bucket, _proxy), pytest.raises(BucketRefusedError, match="archive"):
        list(bucket.read("x"))


@pytest.mark.parametrize(
    "answer",
    [
        error(403, "AccessDenied", "Access Denied because object protected by object lock."),
        error(403, "AccessDenied", "Access denied.", Details="Object 'x' is subject to bucket's retention policy and cannot be deleted"),
        error(403, "AccessDenied", "Access denied.", Details="Object 'x' is under active Event-Based hold and cannot be deleted"),
    ],
)
def test_an_object_that_is_held_is_not_removed(storage: str, answer: Answer) -> None:
    with refusing(storage, answer, method("DELETE"), provider="gcs") as (bucket, _proxy):
        bucket.put("x", b"x")
        with pytest.raises(ObjectLockedError, match="its time is over") as caught:
            bucket.delete("x")
        assert caught.value.exit_status == 6


@pytest.mark.parametrize("hold", [False, True])
def test_a_locked_object_is_not_hidden_either(storage: str, hold: bool) -> None:
    name = make_bucket(storage, locked=True)
    bucket = S3Bucket(bucket_settings(storage, name), HASTY)
    bucket.put("x", b"x")
    client = s3_client.connect(bucket_settings(storage, name))
    if hold:
        client.put_object_legal_hold(Bucket=name, Key="pgkeeper/x", LegalHold={"Status": "ON"})
    else:
        until = datetime.now(UTC) + timedelta(days=1)
        client.put_object_retention(Bucket=name, Key="pgkeeper/x", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    with pytest.raises(ObjectLockedError, match="legal hold" if hold else "locked until"):
        bucket.delete("x")
    assert bucket.head("x") is not None


def test_what_is_not_locked_any_more_is_removed(storage: str) -> None:
    name = make_bucket(storage, locked=True)
    bucket = S3Bucket(bucket_settings(storage, name), HASTY)
    bucket.put("x", b"x")
    until = datetime.now(UTC) - timedelta(seconds=1)
    s3_client.connect(bucket_settings(storage, name)).put_object_retention(
        Bucket=name, Key="pgkeeper/x", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    bucket.delete("x")
    assert bucket.head("x") is None


def test_a_server_that_is_not_there_is_told(storage: str) -> None:
    bucket = S3Bucket(bucket_settings(f"http://127.0.0.1:{free_port()}", "bucket"), HASTY)
    with pytest.raises(BucketUnreachableError, match=r"http://127\.0\.0\.1:\d+ does not answer.*[Cc]onnection refused"):
        bucket.put("x", b"x")


def test_a_name_that_is_not_resolved_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(BucketUnreachableError, match=r"the name of https://s3\.example is not resolved .check the address"):
        S3Bucket(bucket_settings("https://s3.example", "bucket"), HASTY).put("x", b"x")


def test_a_certificate_of_an_authority_we_do_not_know_is_told(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = certificate(tmp_path)
    with http_proxy(storage, Hands(), server_context(*paths)) as proxy:
        settings = bucket_settings(proxy.url, make_bucket(storage))
        with pytest.raises(BucketRefusedError, match=r"is not trusted: .*update-ca-certificates"):
            S3Bucket(settings, HASTY).put("x", b"x")
        monkeypatch.setattr(s3_client, "_TRUSTED", paths[0])
        S3Bucket(settings, HASTY).put("x", b"x")
        with pytest.raises(BucketRefusedError, match=r"is not trusted: .*127"):
            S3Bucket(bucket_settings(proxy.url.replace("localhost", "127.0.0.1"), settings.bucket), HASTY).put("x", b"x")


def test_nothing_but_the_settings_says_who_we_are(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = mars-1\ns3 =\n    addressing_style = virtual\n")
    for name, value in {
        "HOME": str(tmp_path), "AWS_PROFILE": "no-such", "AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs",
        "AWS_SESSION_TOKEN": "theirs", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_DEFAULT_REGION": "mars-1", "AWS_MAX_ATTEMPTS": "9",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with http_proxy(storage, Hands()) as proxy:
        S3Bucket(bucket_settings(proxy.url, make_bucket(storage)), HASTY).put("x", b"x")
        (request,) = proxy.requests
    assert f"Credential={KEY_ID}/" in request.headers["authorization"]
    assert "/eu-central-1/s3/" in request.headers["authorization"]
    assert "x-amz-security-token" not in request.headers


def without_keys(settings: BucketSettings) -> BucketSettings:
    return BucketSettings(**{**vars(settings), "key_id": SecretStr(""), "key": SecretStr("")})


def test_a_machine_without_keys_and_without_a_role_is_told_so(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "theirs")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    bucket = S3Bucket(without_keys(bucket_settings(storage, make_bucket(storage))), HASTY)
    with pytest.raises(BucketRefusedError, match=r"no credentials.*set AWS_ACCESS_KEY_ID \(pgkeeper_cloud_key_id where Ansible"):
        bucket.put("x", b"x")


def test_a_machine_without_keys_uses_its_role(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", storage)
    with http_proxy(storage, Hands()) as proxy:
        S3Bucket(without_keys(bucket_settings(proxy.url, make_bucket(storage))), HASTY).put("x", b"x")
        assert proxy.requests[-1].headers["x-amz-security-token"]


@pytest.mark.parametrize("storage_class", ["", "STANDARD_IA"])
def test_a_storage_class_is_named_only_where_one_is_set(storage: str, storage_class: str) -> None:
    with http_proxy(storage, Hands()) as proxy:
        bucket = S3Bucket(bucket_settings(proxy.url, make_bucket(storage), storage_class=storage_class), HASTY)
        bucket.put("x", b"x")
        upload = bucket.begin_upload("y")
        bucket.complete_upload("y", upload, [bucket.send_part("y", upload, 1, b"y")])
        named = [request.headers.get("x-amz-storage-class", "") for request in proxy.requests[:2]]
        assert named == [storage_class] * 2
        assert {one.storage_class for one in bucket.list()} == {storage_class or "STANDARD"}


@pytest.mark.parametrize("seconds", [-7200, 0, 900])
def test_a_clock_that_is_wrong_is_noticed(storage: str, seconds: int) -> None:
    theirs = {"date": format_datetime(datetime.now(UTC) - timedelta(seconds=seconds), usegmt=True)}
    for answer in (Answer(200, theirs), error(403, "RequestTimeTooSkewed", headers=theirs)):
        with refusing(storage, answer) as (bucket, _proxy):
            assert abs(bucket.clock_skew() - seconds) < 3


@pytest.mark.parametrize(
    ("provider", "endpoint", "address"),
    [
        ("aws", "", "https://bucket.s3.eu-central-1.amazonaws.com/pgkeeper/x"),
        ("aws", "https://minio.example", "https://minio.example/bucket/pgkeeper/x"),
        ("backblaze", "https://s3.eu-central-003.backblazeb2.com", "https://s3.eu-central-003.backblazeb2.com/bucket/pgkeeper/x"),
        ("gcs", "https://storage.googleapis.com", "https://storage.googleapis.com/bucket/pgkeeper/x"),
    ],
)
def test_an_address_names_the_bucket_as_its_provider_wants(provider: Provider, endpoint: str, address: str) -> None:
    class AskedError(Exception):
        pass

    def ask(request: Any, **_more: object) -> None:  # noqa: ANN401 - botocore declares no types
        raise AskedError(request.url)

    client = s3_client.connect(bucket_settings(endpoint, "bucket", provider))
    client.meta.events.register("before-send.s3", ask)
    with pytest.raises(AskedError, match=f"^{re.escape(address)}$"):
        client.get_object(Bucket="bucket", Key="pgkeeper/x")


def test_a_name_no_bucket_may_have_is_told() -> None:
    with pytest.raises(BucketRefusedError, match="Invalid bucket name"):
        S3Bucket(bucket_settings("http://127.0.0.1:1", "no bucket"), HASTY).put("x", os.urandom(1))
