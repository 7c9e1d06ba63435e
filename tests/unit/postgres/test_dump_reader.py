"""Reading a dump as psql would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.dump_reader import CopyData, CopyEnd, CopyStart, DumpReader, Statement, split_qualified
from tests.unit.postgres.dumps import DUMPS, HEAD, TAIL, Dump, chunks


def read(pieces: list[bytes]) -> tuple[list[bytes], list[tuple[bytes, bytes]], DumpReader]:
    """Return statements, tables with their data, and the reader."""
    reader = DumpReader()
    statements: list[bytes] = []
    tables: list[tuple[bytes, bytes]] = []
    name, data = b"", b""
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, Statement):
                statements.append(event.text)
            elif isinstance(event, CopyStart):
                name, data = event.qualified, b""
            elif isinstance(event, CopyData):
                data += bytes(event.data)
                assert event.rows == bytes(event.data).count(b"\n")
            elif isinstance(event, CopyEnd):
                tables.append((name, data))
    reader.finish()
    return statements, tables, reader


@given(DUMPS, st.integers(1, 200))
def test_a_dump_is_understood_however_it_is_cut(dump: Dump, size: int) -> None:
    statements, tables, _ = read(chunks(dump.text(), size))
    assert tables == [(name, b"".join(row + b"\n" for row in rows)) for name, rows in dump.tables]
    settings = 4
    assert statements[settings : settings + len(dump.schema)] == dump.schema
    assert len(statements) == settings + len(dump.schema) + len(dump.sequences)


@given(DUMPS, st.data())
def test_a_dump_cut_short_is_never_taken_for_a_whole_one(dump: Dump, data: st.DataObject) -> None:
    text = dump.text()
    marker = text.rindex(b"-- PostgreSQL database dump complete") + len(b"-- PostgreSQL database dump complete")
    length = data.draw(st.integers(0, marker - 1))
    with pytest.raises(IntegrityError, match="cut short"):
        read([text[:length]])


OBJECTS = [
    b"SELECT pg_catalog.lo_create('70001');",
    b"ALTER LARGE OBJECT 70001 OWNER TO app;",
    b"SELECT pg_catalog.lo_open('70001', 131072);",
    b"SELECT pg_catalog.lowrite(0, '\\x%s');" % (b"3b27" * 40),
    b"SELECT pg_catalog.lo_close(0);",
    # None of these is one of pg_dump's, and each ends where psql would end it.
    b"SELECT pg_catalog.lo_close(0), ';--';",
    b"SELECT pg_catalog.lo_open('1', 2) FROM (SELECT ';') x;",
    b"SELECT pg_catalog.lowrite(0, '\\x00'';SELECT 1;--');",
    b"SELECT pg_catalog.lo_close(0/*;*/);",
]


@given(st.lists(st.sampled_from(OBJECTS), max_size=12), st.integers(1, 300))
def test_large_objects_are_understood_however_they_are_cut(objects: list[bytes], size: int) -> None:
    text = HEAD + b"".join(b"--\n-- Data for Name: 1;\n--\n\n" + statement + b"\n" for statement in objects) + TAIL
    assert read(chunks(text, size))[0][4:] == objects
    with pytest.raises(IntegrityError, match="follow its end marker"):
        read(chunks(text + OBJECTS[4], size))


def test_encoding_and_strings_follow_the_dump() -> None:
    text = HEAD.replace(b"UTF8", b"LATIN1").replace(b"strings = on", b"strings = off") + b"SELECT 'a\\';b';\n" + TAIL
    statements, _, reader = read([text])
    assert reader.encoding == "LATIN1"
    assert not reader.standard_strings
    assert statements[-1] == b"SELECT 'a\\';b';"


def test_an_end_marker_inside_data_or_a_string_ends_nothing() -> None:
    marker = b"-- PostgreSQL database dump complete"
    text = HEAD + b"COPY public.t (a) FROM stdin;\n" + marker + b"\n\\.\n\nSELECT '\n" + marker + b"\n';\n"
    with pytest.raises(IntegrityError, match="end marker is missing"):
        read([text])


@pytest.mark.parametrize("text", [HEAD + TAIL + b"SELECT 1;\n", HEAD + b"COPY public.t (a) FROM stdin; SELECT 1;\n" + TAIL])
def test_what_pg_dump_never_writes_is_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be understood"):
        read([text])


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (b"public.posts", ("public", "posts")),
        (b'"a.b"."c""d"', ("a.b", 'c"d')),
        (b"public.\xff", ("public", "\\xff")),
        (b"lonely", ("", "lonely")),
    ],
)
def test_qualified_names_are_taken_apart(written: bytes, names: tuple[str, str]) -> None:
    assert split_qualified(written, "SQL_ASCII") == names
