"""Statements are found however the text is cut, and cost no more than their length."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.dump_reader import CopyData, CopyEnd, CopyStart, DumpReader, Statement
from pgkeeper.postgres.lexer import Lexer, Taken
from tests.unit.postgres.dumps import HEAD, TAIL, chunks

# Everything that means something to the lexer, whole and in halves.
ATOMS = [
    b"'", b"''", b"\\", b"\\'", b'"', b'""', b"$", b"$$", b"$a$", b"$1", b"e'", b"E'", b"E", b"--", b"-", b"\n", b"/*", b"*/", b"/", b"*",
    b"(", b")", b";", b";\n", b" ", b"a", b"begin ", b"end ", b"case ", b"create function ", b"create or replace procedure ",
    b"w" * 70, b"9" * 70, b"0b", b"\xc3\xbc", b"'" * 75, b"SET standard_conforming_strings = off;",
    b"SET standard_conforming_strings = on;", b"COPY t (a) FROM stdin;\n1\n\\.\n", b"COPY t FROM stdin;\n", b"\\.\n", b"-- a comment\n",
    b"\n-- PostgreSQL database dump complete\n", b"-- PostgreSQL database dump complete\r\n", b"\\restrict x\n",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(ATOMS), max_size=16).map(b"".join)
CHUNK = 1 << 14
LONG = {
    "a string": b"SELECT '%s';",
    "a string that escapes": b"SELECT E'%s';",
    "a name": b'SELECT "%s";',
    "a dollar quote": b"SELECT $a$%s$a$;",
    "a block comment": b"SELECT 1 /*%s*/;",
    "a line comment": b"SELECT 1 --%s\n;",
    "a word": b"SELECT %s;",
    "a comment before a statement": b"--%s\nSELECT 1;",
}


def understood(pieces: list[bytes]) -> list[tuple[object, ...]]:
    """What a reader makes of a text: its events, with a table's data in one, and at the end its settings or the error."""
    reader = DumpReader()
    said: list[tuple[object, ...]] = []
    data = b""
    try:
        for piece in pieces:
            for event in reader.feed(piece):
                if isinstance(event, CopyData):
                    data += bytes(event.data)
                    continue
                if isinstance(event, CopyEnd):
                    said.append(("data", data))
                    data = b""
                elif isinstance(event, CopyStart | Statement):
                    said.append((type(event).__name__, event.text))
        reader.finish()
        said.append((reader.encoding, reader.standard_strings))
    except IntegrityError as error:
        said.append((str(error),))
    return said


@settings(max_examples=600, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_any_cutting_gives_the_same_events(text: bytes, cuts: list[int], complete: bool) -> None:
    text = HEAD + text + TAIL if complete else text
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    whole = understood([text])
    assert understood([text[start:stop] for start, stop in pairwise(places)]) == whole
    assert understood(chunks(text, 1)) == whole


@pytest.mark.parametrize("form", LONG.values(), ids=LONG)
def test_the_work_for_a_long_statement_grows_with_its_length_alone(form: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    take: Callable[..., tuple[int, Taken | None]] = Lexer.take

    def counting(lexer: Lexer, text: bytes, position: int, **more: bool) -> tuple[int, Taken | None]:
        looked.append(len(text) - position)
        return take(lexer, text, position, **more)

    monkeypatch.setattr(Lexer, "take", counting)
    for number in (8, 64):
        looked.clear()
        reader = DumpReader()
        text = form % (b"x" * (number * CHUNK))
        events = [event for chunk in chunks(text, CHUNK) for event in reader.feed(chunk)]
        assert [event.text for event in events if isinstance(event, Statement)] == [text[text.index(b"SELECT") :]]
        # Each byte is handed over once; a few come again, where a text ends.
        assert sum(looked) <= len(text) + 128 * len(looked)


def test_a_string_of_quotes_is_read_once_whichever_half_of_a_pair_a_text_ends_with() -> None:
    for extra in (0, 1):
        reader = DumpReader()
        text = b"SET standard_conforming_strings = off;SELECT " + b" " * extra + b"'" + b"''" * 5000 + b"';"
        events = [event for chunk in chunks(text, 1000) for event in reader.feed(chunk)]
        assert len(events) == 2
        assert isinstance(events[1], Statement)
        assert events[1].text == text[text.index(b"SELECT") :]


def test_a_dollar_quote_without_end_of_its_tag_is_no_dump() -> None:
    reader = DumpReader()
    pieces = chunks(b"SELECT $" + b"t" * 200_000, CHUNK)
    with pytest.raises(IntegrityError, match="tag"):
        _ = [event for piece in pieces for event in reader.feed(piece)]
