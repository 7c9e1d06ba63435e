"""Where one SQL statement ends and the next begins, by psql's rules.

A dump is a script for psql, so psql's lexer decides what is a statement, what is COPY data and what is a meta-command. The rules are those
of psql's manual page and of PostgreSQL's "Lexical Structure": quotes, dollar quotes, nested comments, parentheses (rules with several
commands), and the BEGIN … END nesting of SQL-standard function bodies. Server encodings never use an ASCII byte inside a multi-byte
character, so working on bytes is exact.
"""

import re
from dataclasses import dataclass
from typing import Literal

from pgkeeper.model.errors import IntegrityError

_WORD = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+"
_ESCAPED = rb"'[^'\\]*+(?:(?:\\[\x00-\xff]|'')[^'\\]*+)*+'"
_TOKENS = (
    rb"""
    (?P<space>[\s]++)
  | (?P<line>--[^\n]*+\n)
  | (?P<block>/\*)
  | (?P<escape>[eE]"""
    + _ESCAPED
    + rb""")
  | (?P<string>%s)
  | (?P<quoted>"[^"]*+")
  | (?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$)
  | (?P<word>(?![eE]')"""
    + _WORD
    + rb""")
  | (?P<open>\()
  | (?P<close>\))
  | (?P<end>;)
  | (?P<meta>\\)
  | (?P<number>[0-9][0-9A-Za-z_.]*+)
  | (?P<other>[^\s'"$;()\\/\-A-Za-z_\x80-\xff0-9]++)
  | (?P<lone>/|-(?!-)|\$(?![A-Za-z0-9_\x80-\xff]*+\Z))
"""
)
_STANDARD = re.compile(_TOKENS.replace(b"%s", rb"'[^']*+'"), re.VERBOSE)
_BACKSLASH = re.compile(_TOKENS.replace(b"%s", _ESCAPED), re.VERBOSE)
_BLOCK_EDGE = re.compile(rb"/\*|\*/")
_SECRETIVE = re.compile(r"['$(]|\bOPTIONS\b|\bCONNECTION\b|\bPASSWORD\b|\bAS\b")
_MOST_CHARACTERS = 160
_BLANK = ("space", "line", "block")
_FUNCTION_WORDS = (b"create", b"function", b"procedure", b"or", b"replace")


@dataclass(frozen=True, slots=True)
class Span:
    """One statement or meta-command: `text[start:end]`, comments before it left out; `end` is after its terminator."""

    kind: Literal["statement", "meta"]
    start: int
    end: int


def statement_words(statement: str) -> str:
    """Return how a statement begins, to name it to people: never what is quoted or listed in it, which may be a secret."""
    return " ".join(_SECRETIVE.split(statement, maxsplit=1)[0].split())[:_MOST_CHARACTERS]


class _Nesting:
    """What is open inside a statement: parentheses, and BEGIN … END of an SQL-standard function body."""

    def __init__(self) -> None:
        self.parens = 0
        self._begins = 0
        self._words = 0
        self._opening = bytearray(4)

    @property
    def closed(self) -> bool:
        """Tell whether a semicolon would end the statement."""
        return self.parens == 0 and self._begins == 0

    def word(self, word: bytes) -> None:
        """Take in a keyword or name; only CREATE [OR REPLACE] FUNCTION/PROCEDURE has bodies between BEGIN and END."""
        if self._words < len(self._opening):
            if word in _FUNCTION_WORDS:
                self._opening[self._words] = word[0]
        elif self.parens == 0 and self._creates_routine():
            if word == b"begin" or (word == b"case" and self._begins):
                self._begins += 1
            elif word == b"end" and self._begins:
                self._begins -= 1
        self._words += 1

    def _creates_routine(self) -> bool:
        return bytes(self._opening[:2]) in (b"cf", b"cp") or bytes(self._opening) in (b"corf", b"corp")


def next_span(text: bytes, position: int, *, standard_strings: bool, at_end: bool = False) -> Span | None:
    r"""Return the next statement at or after `position`, or None when `text` does not hold a whole one yet.

    `standard_strings` is the session's standard_conforming_strings; `at_end` says that no more text will come.
    A meta-command (`\restrict …`) ends with its line. Raises IntegrityError for what psql would never be given by pg_dump: a
    meta-command inside a statement, or (at the end) a statement without its end.
    """
    match = (_STANDARD if standard_strings else _BACKSLASH).match
    start = -1
    nesting = _Nesting()
    while position < len(text) and (token := match(text, position)) is not None:
        kind = token.lastgroup
        # A token that touches the end of the text may go on in what is still to come.
        if token.end() == len(text) and not at_end and kind not in ("end", "space", "line"):
            break
        if start < 0 and kind not in _BLANK:
            start = token.start()
            if kind == "meta":
                return _meta_command(text, start, at_end=at_end)
        if kind == "end" and nesting.closed:
            return Span("statement", start, token.end())
        after = _after(text, token, nesting)
        if after is None:
            break
        position = after
    if at_end and (start >= 0 or position < len(text)):
        raise IntegrityError("the dump is cut short", "its last statement has no end")
    return None


def _after(text: bytes, token: re.Match[bytes], nesting: _Nesting) -> int | None:
    """Return where what `token` begins has ended, None when the text ends first; count nesting on the way."""
    kind = token.lastgroup
    if kind == "word":
        nesting.word(token.group().lower())
    elif kind == "open":
        nesting.parens += 1
    elif kind == "close":
        nesting.parens = max(0, nesting.parens - 1)
    elif kind == "block":
        return _end_of_block_comment(text, token.end())
    elif kind == "dollar":
        close = text.find(token.group(), token.end())
        return None if close < 0 else close + len(token.group())
    elif kind == "meta":
        raise IntegrityError("the dump cannot be understood", "a backslash command stands inside a statement")
    return token.end()


def _meta_command(text: bytes, start: int, *, at_end: bool) -> Span | None:
    newline = text.find(b"\n", start)
    if newline < 0:
        return Span("meta", start, len(text)) if at_end else None
    return Span("meta", start, newline + 1)


def _end_of_block_comment(text: bytes, position: int) -> int | None:
    depth = 1
    for edge in _BLOCK_EDGE.finditer(text, position):
        depth += 1 if edge.group() == b"/*" else -1
        if depth == 0:
            return edge.end()
    return None
