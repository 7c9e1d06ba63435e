"""The benchmark's object storage answers as S3 does, so that what is measured is what happens there."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.benchmarking.certificate import make_certificate
from bench.benchmarking.storage_server import StorageServer

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MIB = 1 << 20


@contextmanager
def serving(server: StorageServer) -> Iterator[StorageServer]:
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def client_of(url: str) -> S3Client:
    made: S3Client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=10),
    )
    return made


@pytest.fixture
def client() -> Iterator[S3Client]:
    with serving(StorageServer()) as server:
        made = client_of(f"http://127.0.0.1:{server.server_port}")
        yield made
        made.close()


def test_what_is_uploaded_in_parts_comes_back_whole_and_in_ranges(client: S3Client, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(20 * MIB + 7))
    client.upload_file(str(file), "b", "a folder/ä&b")
    found = client.head_object(Bucket="b", Key="a folder/ä&b")
    assert found["ContentLength"] == 20 * MIB + 7
    assert found["ETag"].endswith('-3"')
    assert client.get_object(Bucket="b", Key="a folder/ä&b")["Body"].read() == file.read_bytes()
    within = client.get_object(Bucket="b", Key="a folder/ä&b", Range=f"bytes={8 * MIB - 2}-{8 * MIB + 1}")["Body"].read()
    assert within == file.read_bytes()[8 * MIB - 2 : 8 * MIB + 2]


def test_objects_are_listed_by_their_beginning_and_go_one_by_one_or_with_their_bucket(client: S3Client) -> None:
    for bucket, key in (("b", "x/1"), ("b", "x/2&"), ("b", "y"), ("other", "x/1")):
        client.put_object(Bucket=bucket, Key=key, Body=b"content")
    listed = client.list_objects_v2(Bucket="b", Prefix="x/")["Contents"]
    assert [(one["Key"], one["Size"]) for one in listed] == [("x/1", 7), ("x/2&", 7)]
    client.delete_object(Bucket="b", Key="x/1")
    assert [one["Key"] for one in client.list_objects_v2(Bucket="b")["Contents"]] == ["x/2&", "y"]
    client.delete_bucket(Bucket="b")
    assert "Contents" not in client.list_objects_v2(Bucket="b")
    assert client.head_object(Bucket="other", Key="x/1")["ContentLength"] == 7


def test_a_delimiter_folds_what_lies_deeper_into_folders(client: S3Client) -> None:
    for key in ("wal/15-1/a", "wal/15-1/b", "wal/info&", "wal/x/deeper/c", "other"):
        client.put_object(Bucket="b", Key=key, Body=b"content")
    listed = client.list_objects_v2(Bucket="b", Prefix="wal/", Delimiter="/")
    assert [one["Key"] for one in listed["Contents"]] == ["wal/info&"]
    assert [one["Prefix"] for one in listed["CommonPrefixes"]] == ["wal/15-1/", "wal/x/"]
    assert listed["IsTruncated"] is False


def test_several_objects_go_in_one_request(client: S3Client) -> None:
    for key in ("x/1", "x/2&", "x/3"):
        client.put_object(Bucket="b", Key=key, Body=b"content")
    client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "x/1"}, {"Key": "x/2&"}], "Quiet": True})
    assert [one["Key"] for one in client.list_objects_v2(Bucket="b")["Contents"]] == ["x/3"]


def test_over_tls_it_shows_its_certificate_and_keeps_nobody_waiting_for_another_ones_handshake(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.file, made.key)
    content = os.urandom(MIB)
    with serving(StorageServer(tls=tls)) as server, socket.create_connection(("127.0.0.1", server.server_port)):
        knows = ssl.create_default_context(cafile=str(made.file))
        # It names an address the way pgBackRest looks for it, which is not Python's.
        knows.check_hostname = False
        client = HTTPSConnection("127.0.0.1", server.server_port, context=knows)
        client.request("PUT", "/b/x", content)
        client.getresponse().read()
        client.request("GET", "/b/x")
        assert client.getresponse().read() == content
        client.close()
        stranger = HTTPSConnection("127.0.0.1", server.server_port, context=ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.connect()
        stranger.close()


def test_what_s3_refuses_is_refused(client: S3Client) -> None:
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(Bucket="b", Key="x", Body=b"content", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    with pytest.raises(ClientError, match="NoSuchUpload"):
        client.upload_part(Bucket="b", Key="x", Body=b"content", UploadId="none", PartNumber=1)
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket="b", Key="x")
