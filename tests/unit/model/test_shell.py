"""A word that we print in a command reaches the command as it was."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.cli.say import plain
from pgkeeper.model.shell import quoted

NAMES = [
    "app",
    "two words",
    "O'Brien",
    'say "x"',
    "$HOME",
    "`id`",
    "-x",
    "*",
    "UPPER",
    "",
    "line\nfeed",
    "tab\tand 'tick'\\",
    "é\x1b[0m",
    "~",
]


def pasted(line: str) -> str:
    """Return what bash makes of the word."""
    return subprocess.run(["bash", "-c", f"printf %s {line}"], capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_pasted_as_it_was_printed(name: str) -> None:
    assert pasted(f"x{plain(quoted(name))}") == f"x{name}"


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_whatever_a_name_holds_it_is_one_word(name: str) -> None:
    assert pasted(f"x{plain(quoted(name))}") == f"x{name}"
