"""Printing for people: whatever a name holds, it never commands the terminal nor starts a line of its own."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgkeeper.model.errors import ErrorInfo


def plain(text: str) -> str:
    """Return `text` with everything that is not printable written as an escape."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def say(text: str = "") -> None:
    """Print a line of the result on stdout."""
    print(plain(text))


def complain(text: str) -> None:
    """Print a line about a problem on stderr."""
    print(f"pgkeeper: {plain(text)}", file=sys.stderr, flush=True)


def complain_of(errors: "Iterable[ErrorInfo | None]") -> None:
    """Print each error that there is, on a line of its own on stderr."""
    for error in errors:
        if error is not None:
            complain(str(error))
