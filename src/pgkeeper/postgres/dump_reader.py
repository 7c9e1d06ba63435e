r"""Reading a plain SQL dump as psql would, once, in any chunks, with constant memory.

`DumpReader` turns the text into events: whole statements, and COPY data in pieces as it comes. What a reader does with them (digest them,
load them) is the consumer's business. COPY text format is PostgreSQL's: a row a line, newlines inside values escaped, `\.` alone on a line
ends the data (documentation of COPY, "Text Format").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.encodings import decode_name
from pgkeeper.postgres.lexer import Lexer
from pgkeeper.postgres.restricted import Restricted

_COPY = re.compile(rb'COPY ((?:"(?:[^"]|"")*+"|[^"\s.(]++)(?:\.(?:"(?:[^"]|"")*+"|[^"\s.(]++))?) .*?FROM stdin;\Z', re.DOTALL)
_SET_STRINGS = re.compile(rb"SET standard_conforming_strings = (on|off);")
_SET_ENCODING = re.compile(rb"SET client_encoding = '([A-Za-z0-9_]+)';")
_COLUMN = re.compile(rb'"(?:[^"]|"")*+"|[^",\s]++')
_PART = re.compile(rb'"((?:[^"]|"")*+)"|([^".]++)')
_TERMINATOR = b"\n\\.\n"


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with its semicolon, as bytes in the dump's encoding."""

    text: bytes


@dataclass(frozen=True, slots=True)
class CopyStart:
    """COPY data for one table begins; `text` is the COPY statement, `qualified` the table's name as it is written there."""

    text: bytes
    qualified: bytes
    schema_name: str
    table: str

    @property
    def columns(self) -> tuple[bytes, ...]:
        """The names of the columns in the order of their values, as they are written there; none for a table without columns."""
        listed = self.text[len(b"COPY ") + len(self.qualified) :].rpartition(b" FROM stdin;")[0].strip()
        return tuple(_COLUMN.findall(listed[1:-1])) if listed.startswith(b"(") else ()


@dataclass(frozen=True, slots=True)
class CopyData:
    """A piece of COPY data, `text[start:stop]`; rows may be cut anywhere."""

    text: bytes
    start: int
    stop: int

    @property
    def data(self) -> memoryview:
        """The piece, without a copy of it."""
        return memoryview(self.text)[self.start : self.stop]

    @property
    def rows(self) -> int:
        """How many rows end in it. Counting is slower than all else that is done with a piece, so not everybody does."""
        return self.text.count(b"\n", self.start, self.stop)


@dataclass(frozen=True, slots=True)
class CopyEnd:
    """The table's data is complete."""


Event = Statement | CopyStart | CopyData | CopyEnd


def split_qualified(name: bytes, encoding: str) -> tuple[str, str]:
    """Return schema and name of a qualified identifier as pg_dump writes it, quotes resolved."""
    parts = [
        decode_name(found.group(2) if found.group(1) is None else found.group(1).replace(b'""', b'"'), encoding)
        for found in _PART.finditer(name)
    ]
    return ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])


class DumpReader:
    """Feeds on a dump and yields events.

    Call `feed` with each chunk and consume the events it yields before feeding the next; call `finish` after the last. `encoding` is
    PostgreSQL's name of the dump's encoding, `standard_strings` its standard_conforming_strings, both as the dump has set them so far.
    """

    def __init__(self) -> None:
        self.encoding = "UTF8"
        self.standard_strings = True
        self._lexer = Lexer()
        self._restricted = Restricted()
        self._rest = b""
        self._in_copy = False
        self._line_end_pending = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield what `chunk` completes. Raises IntegrityError for text that psql would not understand as a dump."""
        text = self._rest + chunk if self._rest else chunk
        position = 0
        while True:
            if self._in_copy:
                start = self._data_start(text, position)
                stop = text.find(_TERMINATOR, position)
                if stop < 0:
                    # The last three bytes may be the beginning of the terminator.
                    position = max(position, len(text) - len(_TERMINATOR) + 1)
                    if position > start:
                        yield CopyData(text, start, position)
                        self._line_end_pending = False
                    elif self._line_end_pending:
                        position = start - 1
                    break
                if stop + 1 > start:
                    yield CopyData(text, start, stop + 1)
                yield CopyEnd()
                self._in_copy = False
                position = stop + len(_TERMINATOR)
            position, taken = self._lexer.take(text, position, standard_strings=self.standard_strings)
            if taken is None:
                break
            if taken.kind == "statement":
                yield self._statement(taken.text)
            else:
                self._restricted.take(taken.text)
        self._rest = text[position:]

    def finish(self) -> None:
        """Check the end. Raises IntegrityError when the dump is cut short or lacks pg_dump's end marker."""
        if self._in_copy:
            raise IntegrityError("the dump is cut short", "it ends in the middle of a table's data")
        _, taken = self._lexer.take(self._rest, 0, standard_strings=self.standard_strings, at_end=True)
        if not self._lexer.complete:
            raise IntegrityError("the dump is cut short", "pg_dump's end marker is missing")
        if taken is not None:
            self._restricted.take(taken.text)

    def _data_start(self, text: bytes, position: int) -> int:
        """Return where data begins: after the line end of the COPY statement while that is still unread."""
        if not self._line_end_pending:
            return position
        if text[position : position + 1] not in (b"\n", b""):
            raise IntegrityError("the dump cannot be understood", "a COPY statement shares its line with something else")
        return position + 1

    def _statement(self, text: bytes) -> Event:
        if self._lexer.complete:
            raise IntegrityError("the dump cannot be understood", "statements follow its end marker")
        if text.startswith(b"SET "):
            if found := _SET_STRINGS.fullmatch(text):
                self.standard_strings = found[1] == b"on"
            elif found := _SET_ENCODING.fullmatch(text):
                self.encoding = found[1].decode()
        elif text.startswith(b"COPY ") and (found := _COPY.match(text)):
            schema_name, table = split_qualified(found[1], self.encoding)
            self._in_copy = self._line_end_pending = True
            return CopyStart(text, found[1], schema_name, table)
        return Statement(text)
