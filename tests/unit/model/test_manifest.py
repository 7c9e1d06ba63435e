"""The manifest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import dump_manifest, parse_manifest
from tests.unit.builders import VERIFIER, manifest

CONTENT = dump_manifest(manifest())
ID = manifest().backup_id


def test_a_manifest_reads_back_as_it_was_written() -> None:
    assert parse_manifest(CONTENT, ID) == manifest()


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= change
    with pytest.raises(IntegrityError):
        parse_manifest(bytes(damaged), ID)


@given(st.integers(0, len(CONTENT) - 1))
def test_a_manifest_cut_anywhere_is_noticed(length: int) -> None:
    with pytest.raises(IntegrityError):
        parse_manifest(CONTENT[:length], ID)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff", CONTENT + b" ", CONTENT + CONTENT, b"[" * 100_000])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_manifest(content, ID)


def test_a_manifest_in_another_backups_place_is_refused() -> None:
    with pytest.raises(IntegrityError, match="speaks of"):
        parse_manifest(CONTENT, "other-20260102T030000Z")


def test_password_verifiers_are_kept_but_never_shown() -> None:
    assert VERIFIER in CONTENT.decode()
    assert VERIFIER not in json.dumps(manifest().public())
    assert VERIFIER not in repr(manifest())
