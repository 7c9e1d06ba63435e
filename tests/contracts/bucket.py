"""What a bucket promises, whoever runs it. A subclass brings the fixture `bucket`, an empty one."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pgkeeper.model.errors import IntegrityError
from pgkeeper.stores.bucket import Bucket, SentPart, UploadGoneError

MIB = 1 << 20
PART = 5 * MIB


class BucketContract:
    """The promises."""

    @pytest.mark.parametrize("size", [0, 1, MIB, 3 * MIB + 1])
    def test_an_object_is_read_as_it_was_written(self, bucket: Bucket, size: int) -> None:
        content = os.urandom(size)
        bucket.put("host/x.enc", content)
        pieces = list(bucket.read("host/x.enc"))
        assert b"".join(pieces) == content
        assert all(0 < len(piece) <= MIB for piece in pieces)

    def test_what_is_known_of_an_object(self, bucket: Bucket) -> None:
        bucket.put("x", b"12345")
        info = bucket.head("x")
        assert info is not None
        assert (info.key, info.size) == ("x", 5)
        assert info.storage_class
        assert info.modified_at.utcoffset() == timedelta()
        assert abs(datetime.now(UTC) - info.modified_at) < timedelta(minutes=1)
        assert list(bucket.list()) == [info]

    def test_an_object_that_is_not_there_is_none(self, bucket: Bucket) -> None:
        assert bucket.head("nothing") is None
        with pytest.raises(IntegrityError, match="it is not there"):
            list(bucket.read("nothing"))

    def test_an_object_takes_the_place_of_an_older_one(self, bucket: Bucket) -> None:
        bucket.put("x", b"old")
        bucket.put("x", b"newer")
        assert b"".join(bucket.read("x")) == b"newer"
        assert [one.size for one in bucket.list()] == [5]

    @pytest.mark.parametrize(("start", "end"), [(0, 10), (5, 6), (2, None), (0, 1), (99, 100), (7, 7), (50, 3)])
    def test_a_range_is_read(self, bucket: Bucket, start: int, end: int | None) -> None:
        content = os.urandom(100)
        bucket.put("x", content)
        assert b"".join(bucket.read("x", start, end)) == content[start:end]

    @pytest.mark.parametrize(("start", "end"), [(0, 101), (50, 150), (100, 101), (200, 300), (200, None)])
    def test_bytes_that_should_be_there_and_are_not_are_noticed(self, bucket: Bucket, start: int, end: int | None) -> None:
        bucket.put("x", os.urandom(100))
        with pytest.raises(IntegrityError):
            list(bucket.read("x", start, end))

    def test_objects_are_listed_in_the_order_of_their_keys(self, bucket: Bucket) -> None:
        keys = [f"{folder}/{number}.enc" for folder in ("a", "b-c", "b", "é") for number in range(6)]
        for key in reversed(keys):
            bucket.put(key, key.encode())
        assert [one.key for one in bucket.list()] == sorted(keys, key=str.encode)
        assert [one.key for one in bucket.list("b/")] == [f"b/{number}.enc" for number in range(6)]
        assert [one.key for one in bucket.list("b-c/3")] == ["b-c/3.enc"]
        assert not list(bucket.list("c"))

    @pytest.mark.parametrize("key", ["a b+c%2F&d=e?f#g", "häuser/Ω/✓", "quote'\"<>&amp;", "a//b", "15-main/app%20one/x.enc"])
    def test_names_of_any_kind_are_kept(self, bucket: Bucket, key: str) -> None:
        bucket.put(key, b"x")
        assert [one.key for one in bucket.list()] == [key]
        assert bucket.head(key) is not None
        assert b"".join(bucket.read(key)) == b"x"
        bucket.delete(key)
        assert not list(bucket.list())

    def test_what_was_removed_is_gone_and_may_be_removed_again(self, bucket: Bucket) -> None:
        bucket.put("x", b"x")
        bucket.put("xy", b"y")
        bucket.delete("x")
        bucket.delete("x")
        assert [one.key for one in bucket.list()] == ["xy"]
        assert bucket.head("x") is None

    def test_an_object_is_made_of_its_parts_in_their_order(self, bucket: Bucket) -> None:
        contents = [os.urandom(PART), os.urandom(PART), b"the end"]
        upload = bucket.begin_upload("x")
        parts = [bucket.send_part("x", upload, number, contents[number - 1]) for number in (3, 1, 2)]
        assert [part.size for part in parts] == [7, PART, PART]
        assert bucket.head("x") is None
        bucket.complete_upload("x", upload, sorted(parts, key=lambda part: part.number))
        assert b"".join(bucket.read("x")) == b"".join(contents)
        assert not list(bucket.unfinished_uploads())

    def test_the_provider_tells_which_parts_it_has(self, bucket: Bucket) -> None:
        upload = bucket.begin_upload("x")
        assert bucket.sent_parts("x", upload) == ()
        sent = tuple(bucket.send_part("x", upload, number, b"%d" % number) for number in range(1, 4))
        assert bucket.sent_parts("x", upload) == sent
        assert [part.number for part in sent] == [1, 2, 3]

    def test_of_a_part_sent_twice_the_last_one_counts(self, bucket: Bucket) -> None:
        upload = bucket.begin_upload("x")
        bucket.send_part("x", upload, 1, b"first")
        part = bucket.send_part("x", upload, 1, b"second")
        assert bucket.sent_parts("x", upload) == (part,)
        bucket.complete_upload("x", upload, [part])
        assert b"".join(bucket.read("x")) == b"second"

    def test_an_upload_completed_twice_is_completed_once(self, bucket: Bucket) -> None:
        upload = bucket.begin_upload("x")
        part = bucket.send_part("x", upload, 1, b"content")
        bucket.complete_upload("x", upload, [part])
        bucket.complete_upload("x", upload, [part])
        assert b"".join(bucket.read("x")) == b"content"

    def test_an_upload_that_is_not_known_is_said_to_be_gone(self, bucket: Bucket) -> None:
        upload = bucket.begin_upload("x")
        part = bucket.send_part("x", upload, 1, b"content")
        bucket.abort_upload("x", upload)
        bucket.abort_upload("x", upload)
        assert bucket.sent_parts("x", upload) is None
        with pytest.raises(UploadGoneError):
            bucket.send_part("x", upload, 2, b"more")
        with pytest.raises(UploadGoneError):
            bucket.complete_upload("x", upload, [part])
        bucket.put("x", b"something else")
        with pytest.raises(UploadGoneError):
            bucket.complete_upload("x", upload, [part])

    def test_unfinished_uploads_are_found(self, bucket: Bucket) -> None:
        uploads = {key: bucket.begin_upload(key) for key in ("a/1", "a/2", "b/1")}
        found = {one.key: one for one in bucket.unfinished_uploads()}
        assert {key: one.upload_id for key, one in found.items()} == uploads
        assert all(one.started_at < datetime.now(UTC) for one in found.values())
        assert {one.key for one in bucket.unfinished_uploads("a/")} == {"a/1", "a/2"}
        bucket.abort_upload("a/1", uploads["a/1"])
        assert {one.key for one in bucket.unfinished_uploads()} == {"a/2", "b/1"}

    def test_whoever_watches_a_body_sees_every_byte_go(self, bucket: Bucket) -> None:
        seen: list[tuple[int, int]] = []

        def sending(position: int, count: int) -> None:
            if count:
                seen.append((position, count))

        bucket.put("x", bytes(MIB), sending)
        assert max(position + count for position, count in seen) == MIB
        assert all(count <= MIB // 8 for _position, count in seen)
        assert all(two[0] in {0, one[0] + one[1]} for one, two in pairwise(seen))

    def test_whoever_watches_a_body_may_give_it_up(self, bucket: Bucket) -> None:
        class GivenUpError(OSError):
            pass

        def sending(position: int, _count: int) -> None:
            if position:
                raise GivenUpError

        with pytest.raises(GivenUpError):
            bucket.put("x", bytes(MIB), sending)
        with pytest.raises(GivenUpError):
            bucket.send_part("x", bucket.begin_upload("x"), 1, bytes(MIB), sending)
        assert bucket.head("x") is None

    def test_clocks_that_agree_are_told_to(self, bucket: Bucket) -> None:
        assert abs(bucket.clock_skew()) < 3

    def test_a_part_is_told_by_its_content(self, bucket: Bucket) -> None:
        upload = bucket.begin_upload("x")
        one, other = (bucket.send_part("x", upload, 1, content) for content in (b"one", b"two"))
        assert one != other
        assert one == SentPart(1, 3, one.etag)
        assert hashlib.md5(b"one", usedforsecurity=False).hexdigest() not in other.etag
