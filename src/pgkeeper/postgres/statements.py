"""One SQL statement of a text: where it ends, and how it is named to people."""

import re
from dataclasses import dataclass
from typing import Literal

from pgkeeper.postgres.lexer import Lexer

_SECRETIVE = re.compile(r"['$(]|\bOPTIONS\b|\bCONNECTION\b|\bPASSWORD\b|\bAS\b")
_MOST_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Span:
    """One statement or meta-command: `text[start:end]`, comments before it left out; `end` is after its terminator."""

    kind: Literal["statement", "meta"]
    start: int
    end: int


def statement_words(statement: str) -> str:
    """Return how a statement begins, to name it to people: never what is quoted or listed in it, which may be a secret."""
    return " ".join(_SECRETIVE.split(statement, maxsplit=1)[0].split())[:_MOST_CHARACTERS]


def next_span(text: bytes, position: int, *, standard_strings: bool, at_end: bool = False) -> Span | None:
    r"""Return the next statement at or after `position`, or None when `text` does not hold a whole one yet.

    `standard_strings` is the session's standard_conforming_strings; `at_end` says that no more text will come.
    A meta-command (`\restrict …`) ends with its line. Raises IntegrityError for what psql would never be given by pg_dump: a
    meta-command inside a statement, or (at the end) a statement without its end.
    """
    end, taken = Lexer().take(text, position, standard_strings=standard_strings, at_end=at_end)
    return Span(taken.kind, taken.start, end) if taken else None
