"""Understanding a dump while it passes."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import Contents
from pgkeeper.postgres.understanding import DumpUnderstanding, order_free_digests, schema_statements, without_data
from tests.unit.postgres.dumps import DUMPS, HEAD, TAIL, Dump, chunks


def understand(text: bytes, size: int = 1 << 20) -> Contents:
    understanding = DumpUnderstanding()
    for chunk in chunks(text, size):
        understanding.feed(chunk)
    return understanding.finish()


@given(DUMPS, st.integers(1, 300))
def test_rows_and_digests_are_exact_however_the_dump_is_cut(dump: Dump, size: int) -> None:
    found = understand(dump.text(), size)
    expected = sorted((len(rows), hashlib.sha256(b"".join(row + b"\n" for row in rows)).hexdigest()) for _, rows in dump.tables)
    assert sorted((table.rows, table.digest) for table in found.tables) == expected
    assert found.sql_bytes == len(dump.text())
    assert found.schema_statements == len(dump.schema)
    assert [sequence.last_value for sequence in found.sequences] == [value for _, value in dump.sequences]


@given(DUMPS, st.randoms())
def test_the_schemas_digest_knows_neither_order_nor_session(dump: Dump, shuffle: random.Random) -> None:
    other = Dump(dump.tables, list(dump.schema), dump.sequences)
    shuffle.shuffle(other.schema)
    text = other.text().replace(b"AbC123", b"zZz").replace(b"version 15.8", b"version 15.9").replace(b"timeout = 0", b"timeout = 9")
    assert understand(text).schema_digest == understand(dump.text()).schema_digest


def test_a_schema_statement_that_comes_twice_is_not_the_same_as_once() -> None:
    statement = b"ALTER TABLE public.a OWNER TO app;"
    assert understand(Dump(schema=[statement]).text()).schema_digest != understand(Dump(schema=[statement] * 2).text()).schema_digest


def large_objects(*objects: tuple[int, bytes]) -> bytes:
    parts = [HEAD]
    for oid, data in objects:
        parts.append(b"SELECT pg_catalog.lo_create('%d');\n" % oid)
        parts.append(b"BEGIN;\n\nSELECT pg_catalog.lo_open('%d', 131072);\n" % oid)
        parts += [b"SELECT pg_catalog.lowrite(0, '\\x" + piece.hex().encode() + b"');\n" for piece in chunks(data, 3)]
        parts.append(b"SELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\n")
    return b"".join(parts) + TAIL


def test_large_objects_are_counted_and_digested_decoded() -> None:
    one = understand(large_objects((1, b"abcdefgh"), (2, b"")))
    assert (one.large_objects.count, one.large_objects.bytes) == (2, 8)
    assert one.large_objects == understand(large_objects((2, b""), (1, b"abcdefgh"))).large_objects
    assert one.large_objects != understand(large_objects((1, b"abcdefgX"), (2, b""))).large_objects
    assert one.large_objects != understand(large_objects((2, b"abcdefgh"), (1, b""))).large_objects


def test_a_large_object_written_before_it_is_opened_is_refused() -> None:
    with pytest.raises(IntegrityError, match="before it is opened"):
        understand(HEAD + b"SELECT pg_catalog.lowrite(0, '\\xab');\n" + TAIL)


def test_pieces_of_one_table_are_joined() -> None:
    name = b"public.root"
    found = understand(Dump(tables=[(name, [b"1\ta"]), (name, [b"2\tb", b"3\tc"])]).text())
    assert [(table.name, table.rows, table.bytes) for table in found.tables] == [("root", 3, 12)]


@given(st.lists(st.sampled_from([b"1\ta", b"2\tb", b"2\tb", b""]), max_size=9), st.randoms(), st.integers(1, 50))
def test_rows_in_another_order_have_the_same_order_free_digest(rows: list[bytes], shuffle: random.Random, size: int) -> None:
    other = list(rows)
    shuffle.shuffle(other)
    wanted = {("public", "t")}
    one = order_free_digests(chunks(Dump(tables=[(b"public.t", rows)]).text(), 1 << 20), wanted)
    assert order_free_digests(chunks(Dump(tables=[(b"public.t", other)]).text(), size), wanted) == one
    assert order_free_digests(chunks(Dump(tables=[(b"public.t", [*rows, b"x"])]).text(), size), wanted) != one


def test_rows_whose_columns_stand_in_another_order_are_equal_by_name() -> None:
    one = HEAD + b'COPY public.c (a, b, "z, z") FROM stdin;\n1\t2\tx\\ty\n3\t\\N\t\n\\.\n' + TAIL
    other = HEAD + b'COPY public.c (a, "z, z", b) FROM stdin;\n3\t\t\\N\n1\tx\\ty\t2\n\\.\n' + TAIL
    swapped = HEAD + b'COPY public.c (a, "z, z", b) FROM stdin;\n3\t\\N\t\n1\tx\\ty\t2\n\\.\n' + TAIL
    renamed = HEAD + b"COPY public.c (a, y, b) FROM stdin;\n3\t\t\\N\n1\tx\\ty\t2\n\\.\n" + TAIL
    wanted = {("public", "c")}
    promised = order_free_digests([one], wanted)
    assert order_free_digests([other], wanted, like=promised) == promised
    assert order_free_digests([other], wanted) != promised
    assert order_free_digests([swapped], wanted, like=promised) != promised
    assert order_free_digests([renamed], wanted, like=promised) != promised


def test_who_grants_belongs_to_what_is_said_about_the_schema() -> None:
    grant = b"SET SESSION AUTHORIZATION %s;\nGRANT SELECT ON TABLE public.t TO PUBLIC;\nRESET SESSION AUTHORIZATION;"
    one, other = (schema_statements([HEAD + grant % name + b"\n" + TAIL]) for name in (b"app", b"other"))
    assert one != other
    assert sum(one.values()) == sum(other.values()) == 1


def test_what_carries_data_is_told_from_the_schema() -> None:
    schema = b"CREATE VIEW public.v AS\n SELECT 'REFRESH MATERIALIZED VIEW x';"
    data = [
        b"SELECT pg_catalog.lo_create('7');",
        b"ALTER LARGE OBJECT 7 OWNER TO app;",
        b"REFRESH MATERIALIZED VIEW public.m;",
        b"SET SESSION AUTHORIZATION app;\nGRANT SELECT ON LARGE OBJECT 7 TO PUBLIC;\nRESET SESSION AUTHORIZATION;",
    ]
    found = schema_statements([HEAD + b"\n".join([schema, *data]) + b"\n" + TAIL])
    assert sum(found.values()) == 5
    assert list(without_data(found)) == [schema]
