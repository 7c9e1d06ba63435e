"""Where one SQL statement ends and the next begins, by psql's rules.

A dump is a script for psql, so psql's lexer decides what is a statement, what is COPY data and what is a meta-command. The rules are those
of psql's manual page and of PostgreSQL's "Lexical Structure": quotes, dollar quotes, nested comments, parentheses (rules with several
commands), and the BEGIN … END nesting of SQL-standard function bodies. Server encodings never use an ASCII byte inside a multi-byte
character, so working on bytes is exact.
"""

import re
from typing import Literal, NamedTuple

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.data_statements import LARGE_OBJECT_STATEMENT
from pgkeeper.postgres.lexer_inside import Block, Escaped, Inside, Part, Until

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
# What pg_dump writes three times for each large object, whole and between statements: read token by token it takes ten times as long.
_OBJECT_DATA = re.compile(rb"\s*+(" + LARGE_OBJECT_STATEMENT.pattern + rb")")
_BLANK = ("space", "line", "block")
# What comes after one of these changes nothing about it. Any other one that touches the end of a text may go on.
_ENDED = ("end", "space", "line", "open", "close", "other", "quoted")
_FUNCTION_WORDS = (b"create", b"function", b"procedure", b"or", b"replace")
_END_MARKER = re.compile(rb"-- PostgreSQL database dump complete\r?\n")
_PARTS = {"word": Part(re.compile(rb"[A-Za-z0-9_$\x80-\xff]*+")), "number": Part(re.compile(rb"[0-9A-Za-z_.]*+"))}
# No keyword and no comment that matters is longer. Shorter ones are looked at again as a whole with the next text.
_SHORT = 64
_LONGEST_TAG = 1 << 16
_NEWLINE = 10


class Taken(NamedTuple):
    """A statement, or a meta-command with its line's end. `start` is where it begins in the text that it ends in."""

    kind: Literal["statement", "meta"]
    text: bytes
    start: int


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


class Lexer:
    """Finds one statement after the other in text that comes in pieces; a long statement costs no more than its length.

    `complete` tells whether pg_dump's end marker was seen, a line between statements.
    """

    def __init__(self) -> None:
        self.complete = False
        self._line_start = True
        self._begin()

    def _begin(self) -> None:
        self._nesting = _Nesting()
        self._kind: Literal["", "statement", "meta"] = ""
        self._inside: Inside | None = None
        self._parts: list[bytes] = []

    def take(self, text: bytes, position: int, *, standard_strings: bool, at_end: bool = False) -> tuple[int, Taken | None]:
        """Go on in `text` from `position`. Return how far it is understood, and the statement or meta-command that ends there.

        Where that is None, what is left of `text` (a few bytes that may go on) has to come again, in front of the next. `at_end` says that
        no more will come. Raises IntegrityError for what psql would never be given by pg_dump: a meta-command inside a statement, or
        (at the end) a statement without its end.
        """
        if not self._kind and self._inside is None and (found := _OBJECT_DATA.match(text, position)):
            self._kind = "statement"
            return self._done(text, found.start(1), found.end())
        match = (_STANDARD if standard_strings else _BACKSLASH).match
        start, size = position, len(text)
        while True:
            position, free = self._leave(text, position, at_end=at_end)
            if not free or position >= size:
                break
            token = match(text, position)
            kind = token.lastgroup if token is not None else None
            if token is None or (token.end() == size and kind not in _ENDED and not at_end):
                opened = self._opened(text, position, token, standard_strings=standard_strings)
                if opened is None:
                    break
                if not self._kind and not text.startswith(b"--", position):
                    self._kind, start = "statement", position
                position = opened
                continue
            if not self._kind and kind not in _BLANK:
                self._kind, start = "meta" if kind == "meta" else "statement", position
            position = token.end()
            if kind == "end" and self._nesting.closed:
                return self._done(text, start, position)
            self._note(token)
        if self._kind == "meta" and (self._inside is None or at_end):
            return self._done(text, start, position)
        if at_end:
            self._require_nothing_open(left=size - position)
        if self._kind and position > start:
            self._parts.append(text[start:position])
        self._line_start = self._begins_line(text, position)
        return position, None

    def _leave(self, text: bytes, position: int, *, at_end: bool) -> tuple[int, bool]:
        """Go on in what is open. Return how far that goes, and whether a token can be read there."""
        if self._inside is None:
            return position, True
        position, ended = self._inside.pass_on(text, position, at_end=at_end)
        if ended:
            self._inside = None
        # A meta-command ends with its line.
        return position, ended and self._kind != "meta"

    def _require_nothing_open(self, left: int) -> None:
        if self._kind or self._inside is not None or left:
            raise IntegrityError("the dump is cut short", "its last statement has no end")

    def _begins_line(self, text: bytes, position: int) -> bool:
        return text[position - 1] == _NEWLINE if position else self._line_start

    def _done(self, text: bytes, start: int, end: int) -> tuple[int, Taken]:
        """Return a statement that ends at `end`, and be ready for the next one."""
        content = text[start:end]
        if self._parts:
            content = b"".join((*self._parts, content))
        taken = Taken("meta" if self._kind == "meta" else "statement", content, start)
        self._begin()
        self._line_start = self._begins_line(text, end)
        return end, taken

    def _opened(self, text: bytes, position: int, token: re.Match[bytes] | None, *, standard_strings: bool) -> int | None:
        """Go into what begins at `position` and does not end in `text`. Return where it goes on, None where more text must tell.

        `token` is what it would be if nothing followed.
        """
        if token is not None:
            return self._may_go_on(token, standard_strings=standard_strings)
        first = text[position : position + 1]
        if first == b"'":
            self._inside = Until(b"'") if standard_strings else Escaped()
            return position + 1
        if first == b'"':
            self._inside = Until(b'"')
            return position + 1
        if first in (b"e", b"E"):
            self._inside = Escaped()
            return position + 2
        if text.startswith(b"--", position) and len(text) - position > _SHORT:
            self._inside = Until(b"\n")
            return position + 2
        if len(text) - position > _LONGEST_TAG:
            raise IntegrityError("the dump cannot be understood", f"a dollar quote has a tag of more than {_LONGEST_TAG} bytes")
        return None

    def _may_go_on(self, token: re.Match[bytes], *, standard_strings: bool) -> int | None:
        """Do the same for a token that touches the end of the text. Short ones are looked at again."""
        kind = token.lastgroup or ""
        if len(token.group()) <= _SHORT:
            return None
        if kind in _PARTS:
            self._inside = _PARTS[kind]
            if kind == "word":
                # Too long for any that means something.
                self._nesting.word(b"")
            return token.end()
        if kind == "string" and standard_strings:
            return token.end()
        if kind in ("string", "escape"):
            self._inside = Escaped()
            # Its quote may be the first half of a doubled one.
            return token.end() - 1
        return None

    def _note(self, token: re.Match[bytes]) -> None:
        """Count nesting, go into what the token begins, and notice the end marker."""
        kind = token.lastgroup
        if kind == "word":
            self._nesting.word(token.group().lower())
        elif kind == "open":
            self._nesting.parens += 1
        elif kind == "close":
            self._nesting.parens = max(0, self._nesting.parens - 1)
        elif kind == "block":
            self._inside = Block()
        elif kind == "dollar":
            self._inside = Until(token.group())
        elif kind == "meta":
            if self._kind != "meta":
                raise IntegrityError("the dump cannot be understood", "a backslash command stands inside a statement")
            self._inside = Until(b"\n")
        elif kind == "line" and not self._kind and _END_MARKER.fullmatch(token.group()) and self._begins_line(token.string, token.start()):
            self.complete = True
