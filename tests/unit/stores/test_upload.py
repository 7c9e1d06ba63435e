"""Uploads that go on where they were, keep to a limit, and end when they should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.crypto.envelope import CHUNK
from pgkeeper.model.errors import IntegrityError, UsageError
from pgkeeper.stores import providers
from pgkeeper.stores import upload as uploads
from pgkeeper.stores.bandwidth import Bandwidth
from pgkeeper.stores.bucket import BucketRefusedError, BucketUnreachableError, TooManyPartsError
from pgkeeper.stores.download import stream
from pgkeeper.stores.patience import Patience
from pgkeeper.stores.s3 import S3Bucket
from pgkeeper.stores.upload import LARGEST, MOST_PARTS, Limits, UploadState, part_size, upload, upload_within
from tests.integration.support.faulty_http import LASTING, Fault, Faulty, error
from tests.integration.support.http_proxy import HttpProxy, Request, http_proxy
from tests.integration.support.object_storage import bucket_settings, make_bucket
from tests.integration.support.strict_provider import Aws
from tests.integration.support.waiting import wait_until

PART = 64 << 10
PATIENCE = Patience(seconds=1, first_pause=0.01, longest_pause=0.05)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts be small, so that many of them are little."""
    monkeypatch.setattr(uploads, "CHUNK", PART)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing else be on the line when something fails, so that it is known what was sent."""
    monkeypatch.setattr(uploads, "_AT_ONCE", 1)


class Line:
    """A bucket, the line to it, and what an upload remembered."""

    def __init__(self, bucket: S3Bucket, proxy: HttpProxy, faults: Faulty) -> None:
        self.bucket = bucket
        self.proxy = proxy
        self.faults = faults.faults
        self.states: list[UploadState] = []

    def sent(self) -> Counter[int]:
        """How often each part was sent since this was last asked."""
        found = Counter(int(one.query["partNumber"]) for one in self.proxy.requests if one.method == "PUT" and "partNumber" in one.query)
        self.proxy.requests.clear()
        return found

    def upload(self, parts: list[bytes], resume: UploadState | None = None) -> None:
        upload(self.bucket, "x", parts, resume, self.states.append)

    def content(self) -> bytes:
        return b"".join(self.bucket.read("x"))


@pytest.fixture
def line(storage: str, small: None) -> Iterator[Line]:
    faults = Faulty()
    with http_proxy(storage, Aws()) as strict, http_proxy(strict.url, faults) as proxy:
        yield Line(S3Bucket(bucket_settings(proxy.url, make_bucket(storage)), PATIENCE), proxy, faults)


def parts(count: int, last: int = PART) -> list[bytes]:
    return [os.urandom(PART) for _ in range(count - 1)] + [os.urandom(last)]


def on_part(number: int) -> Callable[[Request], bool]:
    return lambda request: request.method == "PUT" and request.query.get("partNumber") == str(number)


@given(st.integers(0, LARGEST), st.sampled_from([MOST_PARTS, 1000]))
def test_parts_are_large_enough_for_the_providers_limit_and_whole_pieces(total: int, most: int) -> None:
    size = part_size(total, most)
    assert size >= CHUNK
    assert size % CHUNK == 0
    assert size * most >= total
    assert size == CHUNK or (size - CHUNK) * most < total, "smaller parts would do"


def test_what_no_provider_takes_is_told() -> None:
    with pytest.raises(UsageError, match="too large for a bucket"):
        part_size(LARGEST + 1)


@pytest.mark.parametrize("content", [[], [b""], [b"small"]])
def test_what_is_small_is_written_at_once(line: Line, content: list[bytes]) -> None:
    line.upload(content)
    assert [one.method for one in line.proxy.requests] == ["PUT"]
    assert line.content() == b"".join(content)
    assert not line.states


def test_small_parts_before_the_last_are_a_mistake(line: Line) -> None:
    with pytest.raises(ValueError, match="only the last part"):
        line.upload([b"small", b"small"])


@pytest.mark.parametrize(("count", "last"), [(1, PART), (2, 1), (3, PART), (12, 100)])
def test_parts_become_one_object(line: Line, count: int, last: int) -> None:
    content = parts(count, last)
    line.upload(content)
    assert line.content() == b"".join(content)
    assert line.sent() == dict.fromkeys(range(1, count + 1), 1)
    assert line.states[-1].whole
    grown = [len(state.parts) for state in line.states]
    assert grown == sorted(grown)
    assert grown[0] == 0
    assert grown[-1] == count


def test_progress_tells_every_byte_once_and_never_less(line: Line) -> None:
    line.faults.append(Fault(on_part(2), times=2, resets_request_after=PART // 2))
    told: list[int] = []
    content = parts(5, 7)
    upload(line.bucket, "x", content, None, line.states.append, progress=told.append)
    assert told == sorted(set(told))
    assert told[-1] == 4 * PART + 7
    upload(line.bucket, "small", [b"12345"], None, line.states.append, progress=told.append)
    assert told[-1] == 5


def test_what_was_sent_is_not_sent_again(line: Line, one_by_one: None) -> None:
    content = parts(9, 50)
    line.faults.append(Fault(on_part(5), times=1, instead=error(403, "AccessDenied")))
    with pytest.raises(BucketRefusedError, match="s3:PutObject"):
        line.upload(content)
    line.sent()
    state = UploadState.model_validate_json(line.states[-1].model_dump_json())
    assert len(state.parts) == 4
    line.upload(content, state)
    assert line.sent() == dict.fromkeys(range(5, 10), 1)
    assert line.content() == b"".join(content)
    assert not list(line.bucket.unfinished_uploads())


def interrupted(line: Line, content: list[bytes]) -> UploadState:
    """Send three parts of an upload, and no more."""
    line.faults.append(Fault(on_part(4), instead=error(403, "AccessDenied")))
    with pytest.raises(BucketRefusedError):
        line.upload(content)
    line.sent()
    assert len(line.states[-1].parts) == 3
    return line.states[-1]


def test_an_upload_the_provider_has_forgotten_begins_anew(line: Line, one_by_one: None) -> None:
    content = parts(5)
    state = interrupted(line, content)
    line.bucket.abort_upload("x", state.upload_id)
    line.upload(content, state)
    assert line.sent() == dict.fromkeys(range(1, 6), 1)
    assert line.content() == b"".join(content)


def test_a_part_that_is_another_one_at_the_provider_is_sent_again(line: Line, one_by_one: None) -> None:
    content = parts(5)
    state = interrupted(line, content)
    line.bucket.send_part("x", state.upload_id, 2, os.urandom(PART))
    line.sent()
    line.upload(content, state)
    assert line.sent() == dict.fromkeys(range(2, 6), 1)
    assert line.content() == b"".join(content)


def test_content_that_is_another_one_is_sent_from_there_on(line: Line, one_by_one: None) -> None:
    content = parts(5)
    state = interrupted(line, content)
    content[1] = os.urandom(PART)
    line.upload(content, state)
    assert line.sent() == dict.fromkeys(range(2, 6), 1)
    assert line.content() == b"".join(content)


def test_content_that_became_shorter_is_uploaded_as_it_is(line: Line, one_by_one: None) -> None:
    content = parts(5)
    state = interrupted(line, content)
    line.upload(content[:2], state)
    assert not line.sent()
    assert line.content() == b"".join(content[:2])
    line.upload([b"small"], line.states[-1])
    assert line.content() == b"small"


def test_an_upload_that_was_completed_is_not_made_again(line: Line) -> None:
    content = parts(3)
    line.upload(content)
    state = line.states[-1]
    line.sent()
    line.upload(content, state)
    assert not line.sent()
    with pytest.raises(IntegrityError, match="not what was to be uploaded"):
        line.upload(parts(3), state)
    # Told once, it heals: the next try knows nothing of what was sent.
    other = parts(3)
    line.upload(other, line.states[-1])
    assert line.content() == b"".join(other)


def test_an_upload_that_was_whole_and_is_gone_is_made_again(line: Line) -> None:
    content = parts(3)
    line.upload(content)
    state = line.states[-1]
    line.bucket.delete("x")
    line.sent()
    line.upload(content, state)
    assert line.sent() == dict.fromkeys(range(1, 4), 1)


def test_the_first_error_ends_everything(line: Line) -> None:
    line.faults.append(Fault(on_part(2), times=LASTING, resets_request_after=0))
    told: list[int] = []
    begun = time.monotonic()
    with pytest.raises(BucketUnreachableError):
        # All of it would take a minute and a half, and the parts on the line six seconds.
        upload(line.bucket, "x", parts(40), None, line.states.append, bandwidth=Bandwidth(PART // 2), progress=told.append)
    assert time.monotonic() - begun < 5, "the others went on"
    ended = len(told)
    time.sleep(1)  # nothing can be waited for: nothing is to happen
    assert len(told) <= ended + 1, "the others went on"


TOO_MANY = {
    "in S3's own words": ("InvalidArgument", "Part number must be an integer between 1 and 1000, inclusive", 1001, 1000),
    "without a number": ("InvalidPartNumber", "no", 1003, 1000),
    "of an uncommon limit": ("InvalidArgument", "Part number must be an integer between 1 and 512, inclusive", 513, 512),
}


@pytest.mark.parametrize(("code", "message", "number", "most"), TOO_MANY.values(), ids=TOO_MANY.keys())
def test_how_many_parts_a_provider_takes_is_learned_of_its_refusal(line: Line, code: str, message: str, number: int, most: int) -> None:
    line.faults.append(Fault(on_part(number), times=LASTING, instead=error(400, code, message)))
    with pytest.raises(TooManyPartsError) as caught:
        line.bucket.send_part("x", line.bucket.begin_upload("x"), number, b"x")
    assert caught.value.most == most


@pytest.mark.parametrize(
    ("number", "message"), [(3, "Part number must be an integer between 1 and 2, inclusive"), (2000, "A header is wrong")]
)
def test_a_refusal_of_another_kind_teaches_nothing(line: Line, number: int, message: str) -> None:
    line.faults.append(Fault(on_part(number), times=LASTING, instead=error(400, "InvalidArgument", message)))
    with pytest.raises(BucketRefusedError, match=message) as caught:
        line.bucket.send_part("x", line.bucket.begin_upload("x"), number, b"x")
    assert not isinstance(caught.value, TooManyPartsError)


def refuses_parts_after(monkeypatch: pytest.MonkeyPatch, line: Line, most: int) -> None:
    """Let the provider take so few parts, and that be believed of it."""
    monkeypatch.setattr(providers, "_FEWEST_PARTS", 1)
    refusal = error(400, "InvalidArgument", f"Part number must be an integer between 1 and {most}, inclusive")
    line.faults.append(Fault(lambda request: int(request.query.get("partNumber", 0)) > most, times=LASTING, instead=refusal))


def test_where_a_provider_takes_fewer_parts_all_is_sent_again_in_larger_ones(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses_parts_after(monkeypatch, line, 3)
    content = b"".join(parts(7, 7))
    learned: list[int] = []
    states: list[UploadState | None] = []
    limits = Limits(most_parts=7, learned=learned.append)

    def cut(size: int) -> list[bytes]:
        return [content[start : start + size] for start in range(0, len(content), size)]

    upload_within(line.bucket, "x", len(content), cut, limits, None, states.append)
    assert line.content() == content
    assert learned == [3]
    assert None in states, "what was sent in small parts is still remembered"
    assert not list(line.bucket.unfinished_uploads()), "what was sent in small parts is still paid for"
    line.sent()
    upload_within(line.bucket, "y", len(content), cut, limits, None, states.append)
    assert max(line.sent()) == 3, "it was learned for nothing"


def test_a_provider_that_refuses_what_it_must_take_is_not_asked_for_ever(line: Line) -> None:
    content = b"".join(parts(4))
    limits = Limits()
    refusal = error(400, "InvalidArgument", "Part number must be an integer between 1 and 100, inclusive")
    line.faults.append(Fault(on_part(101), times=LASTING, instead=refusal))
    cut = [content[start : start + 1024] for start in range(0, len(content), 1024)]
    cut = [one * 64 for one in cut]
    with pytest.raises(TooManyPartsError):
        upload_within(line.bucket, "x", len(content), lambda _size: cut, limits, None, lambda _state: None)


def test_an_error_of_the_source_is_the_one_that_is_seen(line: Line, one_by_one: None) -> None:
    def failing() -> Iterator[bytes]:
        yield from parts(3)
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        upload(line.bucket, "x", failing(), None, line.states.append)
    assert len(line.states[-1].parts) == 3


def test_a_state_that_cannot_be_kept_ends_the_upload(line: Line) -> None:
    def full(_state: UploadState) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        upload(line.bucket, "x", parts(3), None, full)


def test_several_parts_are_on_the_line_at_once(line: Line) -> None:
    line.faults.append(Fault(times=LASTING, delay=0.15))
    begun = time.monotonic()
    line.upload(parts(12))
    # One after the other they would take 14 times the delay, and what is not a part besides.
    assert time.monotonic() - begun < 10 * 0.15 + 0.3


def test_large_parts_are_fewer_at_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_MEMORY", 2 * PART)
    made = 0

    def counted() -> Iterator[bytes]:
        nonlocal made
        for part in parts(6):
            made += 1
            yield part

    looked = threading.Event()
    line.faults.append(Fault(on_part(1), until=looked))
    thread = threading.Thread(target=lambda: upload(line.bucket, "x", counted(), None, line.states.append))
    thread.start()
    try:
        wait_until(line.sent, "the first part")
        assert made <= 2
    finally:
        looked.set()
        thread.join()
    assert made == 6


@pytest.mark.parametrize("content", [[b"x" * (40 << 10)], [b"x" * PART] * 3])
def test_a_body_is_held_back_while_it_is_sent(line: Line, content: list[bytes]) -> None:
    total = sum(map(len, content))
    limit = total  # a second
    told: list[tuple[float, int]] = []
    begun = time.monotonic()
    upload(
        line.bucket, "x", content, None, line.states.append, bandwidth=Bandwidth(limit),
        progress=lambda done: told.append((time.monotonic() - begun, done)),
    )  # fmt: skip
    assert 0.5 < told[-1][0] < 2.5
    # At no time more was on the line than a burst and a piece for each thread allow.
    assert all(done <= limit * (seconds + 0.15) + 4 * (16 << 10) for seconds, done in told)
    assert len(told) >= total // (16 << 10)


KILLED = """
import json, os, sys
from pathlib import Path
from pgkeeper.stores import upload as uploads
from pgkeeper.stores.bandwidth import Bandwidth
from pgkeeper.stores.s3 import S3Bucket
from tests.integration.support.object_storage import bucket_settings

url, name, state, limit = sys.argv[1:]
uploads.CHUNK = 64 << 10

def remember(found):
    Path(state + ".new").write_text(found.model_dump_json())
    os.replace(state + ".new", state)

content = [bytes([number]) * (64 << 10) for number in range(20)]
uploads.upload(S3Bucket(bucket_settings(url, name)), "x", content, None, remember, bandwidth=Bandwidth(int(limit)))
"""
CONTENT = [bytes([number]) * PART for number in range(20)]


@contextmanager
def uploading(line: Line, state: Path, limit: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run an upload in a process of its own."""
    name = line.bucket.name.split("/")[2]
    command = [sys.executable, "-c", KILLED, line.proxy.url, name, str(state), str(limit)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def remembered(state: Path) -> UploadState | None:
    return UploadState.model_validate(json.loads(state.read_text())) if state.exists() else None


def test_an_upload_that_was_killed_goes_on_where_it_was(line: Line, tmp_path: Path) -> None:
    path = tmp_path / "state"

    def has_parts() -> bool:
        state = remembered(path)
        return state is not None and len(state.parts) >= 3

    with uploading(line, path, limit=8 * PART) as process:
        wait_until(has_parts, "three parts")
        process.kill()
    state = remembered(path)
    assert state is not None
    assert 3 <= len(state.parts) < 20
    line.sent()
    line.upload(CONTENT, state)
    assert set(line.sent()) == set(range(len(state.parts) + 1, 21))
    assert line.content() == b"".join(CONTENT)
    assert not list(line.bucket.unfinished_uploads())


def test_an_interrupted_upload_ends_at_once_and_leaves_its_state(line: Line, tmp_path: Path) -> None:
    path = tmp_path / "state"
    # The provider does not answer for longer than anybody waits.
    line.faults.append(Fault(on_part(3), times=LASTING, delay=20))

    def two_parts() -> bool:
        state = remembered(path)
        return state is not None and len(state.parts) == 2

    with uploading(line, path, limit=100 * PART) as process:
        wait_until(two_parts, "two parts")
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert time.monotonic() - begun < 8
    assert process.returncode not in {0, -signal.SIGKILL}
    line.faults.clear()
    line.upload(CONTENT, remembered(path))
    assert line.content() == b"".join(CONTENT)


def test_memory_does_not_grow_with_the_object(storage: str) -> None:
    bucket = S3Bucket(bucket_settings(storage, make_bucket(storage)))
    zeros = bytes(CHUNK)
    count = 38  # 304 MiB
    bucket.list()
    tracemalloc.start()
    try:
        upload(bucket, "x", (bytearray(zeros) for _ in range(count)), None, lambda _state: None)  # type: ignore[misc]
        up = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert sum(map(len, stream(bucket, "x", count * CHUNK, lambda _number, _chunk: None))) == count * CHUNK
        down = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert up < 64 << 20
    assert down < 80 << 20
