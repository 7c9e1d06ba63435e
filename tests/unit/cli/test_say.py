"""Printing for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.cli.say import plain


@given(st.text())
def test_a_name_never_commands_the_terminal_nor_starts_a_line(text: str) -> None:
    assert plain(text).isprintable()


@pytest.mark.parametrize(("text", "shown"), [("Größe 'a b'", "Größe 'a b'"), ("e\x1b]0;x\x07", "e\\x1b]0;x\\x07"), ("a\nb", "a\\nb")])
def test_what_is_printable_is_shown_as_it_is(text: str, shown: str) -> None:
    assert plain(text) == shown
