"""What encryption promises, whatever the method. A subclass brings the fixtures `ring` (ours) and `stranger` (somebody else's)."""

from __future__ import annotations

import gc
import json
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pgkeeper.crypto.envelope import CHUNK, KeyRing, Opener, Sealer
from pgkeeper.model.copy import tag_context
from pgkeeper.model.errors import IntegrityError

BLOCK = 1 << 20
CONTEXT = tag_context("db1", "15-main", "app-20260102T030405Z", "app.sql.gz")
DOCUMENT = {
    "size": 2**60,
    "name": "Ü\n\0\ud800",
    "tags": ["a", None, True, 1.5],
    "nested": {"b": [], "a": {}},
    "seal": 1,
    "method": 2,
    "signer": 3,
}

# Fixtures hold keys and nothing that an example changes; what failed with one method may well be tried with the other.
examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
)
plaintexts = st.one_of(
    st.binary(max_size=80), st.builds(lambda size: b"x" * size, st.integers(65_000, 66_000)), st.just(bytes(3 * BLOCK + 1))
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(st.text(), json_values, max_size=5)


def cut(content: bytes, places: list[int]) -> Iterator[bytes]:
    """Yield content in pieces, some of them empty."""
    start = 0
    for place in sorted(place % (len(content) + 1) for place in places):
        yield content[start:place]
        start = place
    yield content[start:]


def flipped(content: bytes, bit: int) -> bytes:
    bit %= len(content) * 8
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


def opener_of(ring: KeyRing) -> Opener:
    sealer = ring.sealer()
    return ring.opener(sealer.method, sealer.key_id)


def encrypted(sealer: Sealer, plain: bytes) -> bytes:
    return b"".join(sealer.encrypt([plain]))


class EnvelopeContract:
    """The promises."""

    @examples
    @given(plain=plaintexts, places=st.lists(st.integers(0, 1 << 22), max_size=6), again=st.lists(st.integers(0, 1 << 22), max_size=6))
    def test_what_was_encrypted_is_opened_however_it_comes(self, ring: KeyRing, plain: bytes, places: list[int], again: list[int]) -> None:
        ciphertext = b"".join(ring.sealer().encrypt(cut(plain, places)))
        assert b"".join(opener_of(ring).decrypt(cut(ciphertext, again))) == plain
        assert b"".join(opener_of(ring).decrypt(bytes([byte]) for byte in ciphertext[:1000])) == plain if len(ciphertext) <= 1000 else True

    def test_the_same_plaintext_never_looks_the_same(self, ring: KeyRing) -> None:
        assert len({encrypted(ring.sealer(), b"the same") for _ in range(5)}) == 5

    def test_a_salt_makes_the_same_ciphertext_again_where_that_is_possible(self, ring: KeyRing) -> None:
        once = encrypted(ring.sealer(), bytes(100_000))
        salt = ring.sealer().salt_of(once[:64])
        assert salt is None or b"".join(ring.sealer().encrypt(cut(bytes(100_000), [7, 65_537]), salt)) == once

    @examples
    @given(plain=plaintexts, end=st.integers(0, 1 << 40))
    def test_a_cut_is_noticed(self, ring: KeyRing, plain: bytes, end: int) -> None:
        ciphertext = encrypted(ring.sealer(), plain)
        assert_damage_is_noticed(ring, ciphertext, ciphertext[: end % len(ciphertext)])

    @examples
    @given(plain=plaintexts, bit=st.integers(0, 1 << 40))
    def test_a_flipped_bit_is_noticed(self, ring: KeyRing, plain: bytes, bit: int) -> None:
        ciphertext = encrypted(ring.sealer(), plain)
        assert_damage_is_noticed(ring, ciphertext, flipped(ciphertext, bit))

    @pytest.mark.parametrize("junk", [b"", b"x", b"Salted__", b"Salted__1234567", bytes(16), bytes(70_000)])
    def test_what_nobody_encrypted_is_not_opened(self, ring: KeyRing, junk: bytes) -> None:
        with pytest.raises(IntegrityError):
            list(opener_of(ring).decrypt([junk]))

    @examples
    @given(one=st.tuples(st.text(), st.integers(0, 2**40), st.binary()), two=st.tuples(st.text(), st.integers(0, 2**40), st.binary()))
    def test_no_two_pieces_have_the_same_tag(self, ring: KeyRing, one: tuple[str, int, bytes], two: tuple[str, int, bytes]) -> None:
        assume(one != two)
        sealer = ring.sealer()
        assert sealer.tag(*one) != sealer.tag(*two)
        assert opener_of(ring).tag(*one) == sealer.tag(*one)

    def test_a_piece_has_another_tag_when_its_bytes_move_into_what_comes_before(self, ring: KeyRing) -> None:
        sealer, piece = ring.sealer(), (1).to_bytes(8, "big") + b"rest"
        assert sealer.tag("a", 0, piece) != sealer.tag("a" + "\0" * 8, 1, b"rest")
        assert sealer.tag("ab", 0, b"c") != sealer.tag("a", 0, b"bc")

    def test_a_large_piece_has_a_tag_that_its_last_byte_changes(self, ring: KeyRing) -> None:
        piece = bytearray(CHUNK)
        before = ring.sealer().tag(CONTEXT, 0, bytes(piece))
        piece[-1] = 1
        assert ring.sealer().tag(CONTEXT, 0, bytes(piece)) != before

    @examples
    @given(document=documents, label=st.text())
    def test_a_document_is_opened_as_it_was_sealed(self, ring: KeyRing, document: dict[str, Any], label: str) -> None:
        assert ring.open(label, ring.sealer().seal(label, document)) == document

    def test_a_document_may_hold_anything_even_what_seals_are_made_of(self, ring: KeyRing) -> None:
        content = ring.sealer().seal("copy", DOCUMENT)
        assert ring.open("copy", content) == DOCUMENT
        claims = json.loads(content)
        assert (claims["method"], claims["key_id"]) == (ring.sealer().method, ring.sealer().key_id)

    @examples
    @given(document=documents)
    def test_the_same_document_is_sealed_as_the_same_bytes(self, ring: KeyRing, document: dict[str, Any]) -> None:
        turned = dict(reversed(document.items()))
        assert ring.sealer().seal("copy", document) == ring.sealer().seal("copy", turned)

    @examples
    @given(bit=st.integers(0, 1 << 40))
    def test_a_flipped_bit_in_a_document_is_noticed(self, ring: KeyRing, bit: int) -> None:
        content = ring.sealer().seal("copy", DOCUMENT)
        with pytest.raises(IntegrityError):
            ring.open("copy", flipped(content, bit))

    def test_every_character_of_a_document_counts(self, ring: KeyRing) -> None:
        content = ring.sealer().seal("copy", DOCUMENT)
        for position in range(len(content)):
            for other in {content[position : position + 1].swapcase(), b" "} - {content[position : position + 1]}:
                with pytest.raises(IntegrityError):
                    ring.open("copy", content[:position] + other + content[position + 1 :])
        for changed in (content + b" ", b" " + content, content[:-1], content.replace(b"\n", b"\r\n"), content.decode().encode("utf-16")):
            with pytest.raises(IntegrityError):
                ring.open("copy", changed)

    @examples
    @given(one=st.text(), two=st.text())
    def test_a_document_of_one_label_is_none_of_another(self, ring: KeyRing, one: str, two: str) -> None:
        assume(one != two)
        content = ring.sealer().seal(one, {"a": 1})
        with pytest.raises(IntegrityError, match="not genuine"):
            ring.open(two, content)

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"[]", b"null", b"1", b"\xff", b"[" * 100_000, b'[["a","b"]]', b'{"method":"openssl","key_id":7}']
    )
    def test_what_is_no_document_is_an_integrity_error(self, ring: KeyRing, content: bytes) -> None:
        with pytest.raises(IntegrityError, match="the copy cannot be understood") as caught:
            ring.open("copy", content)
        assert caught.value.exit_status == 4

    def test_what_a_stranger_sealed_is_not_believed(self, ring: KeyRing, stranger: KeyRing) -> None:
        content = stranger.sealer().seal("copy", {"a": 1})
        with pytest.raises(IntegrityError) as caught:
            ring.open("copy", content)
        assert caught.value.exit_status == 4

    def test_what_a_stranger_encrypted_is_not_opened(self, ring: KeyRing, stranger: KeyRing) -> None:
        # With one salt in 256, CBC would not notice.
        salt = b"somesalt" if stranger.sealer().method == "openssl" else None
        ciphertext = b"".join(stranger.sealer().encrypt([bytes(100)], salt))
        assert_no_plaintext(opener_of(ring), ciphertext)

    def test_a_key_id_is_short_and_the_same_every_time(self, ring: KeyRing, stranger: KeyRing) -> None:
        key_id = ring.sealer().key_id
        assert len(key_id) == 16
        assert int(key_id, 16) >= 0
        assert key_id == ring.sealer().key_id == opener_of(ring).key_id != stranger.sealer().key_id
        assert opener_of(ring).method == ring.sealer().method
        assert opener_of(ring).can_decrypt

    def test_an_error_of_the_source_comes_through_and_leaves_no_thread(self, ring: KeyRing) -> None:
        def failing(first: bytes) -> Iterator[bytes]:
            yield first
            raise ZeroDivisionError("the source failed")

        before = set(threading.enumerate())
        for work in (ring.sealer().encrypt, opener_of(ring).decrypt):
            for first in (b"", encrypted(ring.sealer(), bytes(3 * BLOCK))):
                with pytest.raises(ZeroDivisionError, match="the source failed"):
                    list(work(failing(first)))
        assert set(threading.enumerate()) <= before

    def test_whoever_stops_early_leaves_no_thread(self, ring: KeyRing) -> None:
        before = set(threading.enumerate())
        ciphertext = encrypted(ring.sealer(), bytes(5 * BLOCK))
        for work, content in ((ring.sealer().encrypt, bytes(BLOCK)), (opener_of(ring).decrypt, ciphertext)):
            pieces = work(iter([content] * 5))
            assert next(pieces)
            pieces.close()  # type: ignore[attr-defined]
            forgotten = work(iter([content] * 5))
            assert next(forgotten)
            del forgotten
            gc.collect()
            never_begun = work(iter([content]))
            del never_begun
        assert set(threading.enumerate()) <= before

    def test_an_interruption_leaves_no_thread(self, ring: KeyRing) -> None:
        def interrupted() -> Iterator[bytes]:
            yield bytes(2 * BLOCK)
            raise KeyboardInterrupt

        before = set(threading.enumerate())
        with pytest.raises(KeyboardInterrupt):
            list(ring.sealer().encrypt(interrupted()))
        assert set(threading.enumerate()) <= before

    def test_memory_stays_the_same_however_large_a_file_is(self, ring: KeyRing) -> None:
        chunk = bytes(BLOCK)
        tracemalloc.start()
        try:
            size = sum(len(piece) for piece in opener_of(ring).decrypt(ring.sealer().encrypt(chunk for _ in range(300))))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert size == 300 * BLOCK
        assert peak < 16 * BLOCK

    @examples
    @given(data=st.data())
    def test_nothing_that_is_said_holds_a_secret(self, ring: KeyRing, secrets: tuple[str, ...], data: st.DataObject) -> None:
        content = data.draw(st.binary(max_size=40) | st.just(b"Salted__" + bytes(40)) | st.just(ring.sealer().seal("copy", {})))
        said = [repr(ring), str(ring), repr(ring.sealer()), str(ring.sealer()), repr(opener_of(ring)), str(opener_of(ring))]
        for work in (
            lambda: ring.open("other", content), lambda: list(opener_of(ring).decrypt([content])), lambda: ring.opener("openssl", "0" * 16)
        ):  # fmt: skip
            with pytest.raises(IntegrityError) as caught:
                work()
            said += [repr(caught.value), str(caught.value), repr(caught.value.info)]
        assert not [secret for secret in secrets for text in said if secret in text]


def assert_damage_is_noticed(ring: KeyRing, ciphertext: bytes, damaged: bytes) -> None:
    """The tags of damaged ciphertext differ; and what opens it notices, or says something else than what was encrypted."""
    assert [tag for _, tag in tags(ring, ciphertext)] != [tag for _, tag in tags(ring, damaged)]
    try:
        plain = b"".join(opener_of(ring).decrypt([damaged]))
    except IntegrityError:
        return
    assert ring.sealer().method == "openssl", "age notices everything"
    assert plain != b"".join(opener_of(ring).decrypt([ciphertext]))


def tags(ring: KeyRing, ciphertext: bytes) -> list[tuple[int, str]]:
    pieces = [ciphertext[start : start + CHUNK] for start in range(0, len(ciphertext), CHUNK)]
    return [(number, ring.sealer().tag(CONTEXT, number, piece)) for number, piece in enumerate(pieces)]


def assert_no_plaintext(opener: Opener, ciphertext: bytes) -> None:
    """Nothing comes out before the error."""
    pieces: list[bytes] = []
    with pytest.raises(IntegrityError) as caught:
        pieces.extend(opener.decrypt([ciphertext]))
    assert caught.value.exit_status == 4
    assert not b"".join(pieces)
