"""Which keys can be guessed."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.crypto.strength import weakness


@given(seed=st.integers(0, 2**64))
def test_32_random_bytes_are_always_strong(seed: int) -> None:
    key = random.Random(seed).randbytes(32)  # noqa: S311 - repeatable
    for text in (base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode(), key.hex()):
        assert not weakness(text)


@pytest.mark.parametrize(
    "key",
    [
        "", "short", "a" * 500, "ab" * 200, "password" * 20, "correcthorse" * 5, "password1password2password3password4",
        "0" * 64, "12345678901234567890123456789012345678901234567890", "271828182845904523536028", "hunter2 hunter2 hunter2 hunter2",
        "aaaaaaaaaaaaaaaaaaaaaaaabcdefghij", "abcabcabcabcabcabcabcabcabcabc",
    ],
)  # fmt: skip
def test_what_can_be_guessed_is_weak(key: str) -> None:
    assert weakness(key)


@given(word=st.text(max_size=12), times=st.integers(1, 60))
def test_a_repeated_word_is_weak_however_often(word: str, times: int) -> None:
    assert weakness(word * times)


@given(key=st.text(max_size=60))
def test_what_is_said_holds_nothing_of_the_key(key: str) -> None:
    assert weakness(key) in {"", "it has fewer than 24 characters", "it repeats itself, or has too few different characters"}


@given(key=st.text(max_size=80), more=st.text(max_size=20))
def test_more_characters_never_weaken_a_key(key: str, more: str) -> None:
    assert weakness(key) or not weakness(key + more)
