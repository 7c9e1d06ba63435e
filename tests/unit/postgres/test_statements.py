"""Where statements end, by psql's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.statements import next_span

STATEMENTS = [
    b"SELECT 1;",
    b"SELECT 'a;b', 'it''s; \\';",
    b"SELECT E'a\\';b', e'\\\\';",
    b'SELECT "a;""b";',
    b"SELECT $$ ; ' $$, $a$ $$ ; $b$ $a$, a$b$c;",
    b"SELECT $tag_1$;$tag_2$;$tag_1$;",
    b"SELECT 1 /* ; ' /* nested; */ */ + 2;",
    b"SELECT 1 -- ; '\n + 2;",
    b"CREATE RULE r AS ON DELETE TO t DO ALSO (DELETE FROM a; DELETE FROM b);",
    b"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END;",
    b"CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;",
    b"CREATE FUNCTION public.begin() RETURNS int LANGUAGE sql AS $$select 1;$$;",
    b"CREATE VIEW begin AS SELECT 1;",
    b'CREATE TABLE \xc3\xbc\xe2\x82\xac ("\xc3;" int);',
    b"SELECT 10-5, 10 - -5, a/b;",
    b"SELECT 1 <> 2, $1, U&'\\0041;', B'01', x'ff';",
]
BETWEEN = st.sampled_from([b"", b"\n", b"\n\n", b"--\n-- Name: x; Type: TABLE; don't $$\n--\n\n", b"/* ; $a$ ' */ "])


@given(st.lists(st.tuples(BETWEEN, st.sampled_from(STATEMENTS)), min_size=1, max_size=8))
def test_statements_are_found_whole_and_without_the_comments_before_them(script: list[tuple[bytes, bytes]]) -> None:
    text = b"".join(between + statement for between, statement in script)
    found = []
    position = 0
    while span := next_span(text, position, standard_strings=True):
        found.append(text[span.start : span.end])
        position = span.end
    assert found == [statement for _, statement in script]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_beginning_of_a_statement_is_taken_for_a_whole_one(statement: bytes) -> None:
    for length in range(len(statement)):
        assert next_span(statement[:length], 0, standard_strings=True) is None


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_without_its_end_is_an_error_at_the_end(statement: bytes) -> None:
    for length in range(1, len(statement)):
        with pytest.raises(IntegrityError, match="cut short"):
            next_span(statement[:length], 0, standard_strings=True, at_end=True)


def test_backslashes_in_strings_escape_only_where_the_session_says_so() -> None:
    text = rb"SELECT 'a\'; SELECT ';b';"
    first = next_span(text, 0, standard_strings=True)
    assert first is not None
    assert text[: first.end] == rb"SELECT 'a\';"
    whole = next_span(text, 0, standard_strings=False)
    assert whole is not None
    assert whole.end == len(rb"SELECT 'a\'; SELECT ';")


def test_a_meta_command_ends_with_its_line() -> None:
    text = b"\\restrict abc;def'\nSELECT 1;"
    span = next_span(text, 0, standard_strings=True)
    assert span is not None
    assert (span.kind, text[: span.end]) == ("meta", b"\\restrict abc;def'\n")
    assert next_span(b"\\restrict abc", 0, standard_strings=True) is None


def test_a_meta_command_inside_a_statement_is_an_error() -> None:
    with pytest.raises(IntegrityError, match="backslash command"):
        next_span(b"SELECT 1 \\gexec\n;", 0, standard_strings=True)


def test_blank_text_and_comments_hold_no_statement() -> None:
    for text in (b"", b"  \n", b"-- only a comment\n", b"/* and another */\n"):
        assert next_span(text, 0, standard_strings=True, at_end=True) is None
