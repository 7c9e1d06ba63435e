"""Statements that carry data are taken by their whole form."""

import pytest

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.data_statements import called


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"SELECT pg_catalog.setval('public.\"we''ird\"', -12, false);", b"setval"),
        (b"SELECT pg_catalog.lo_create('4711');", b"lo_create"),
        (b"SELECT pg_catalog.lo_open('4711', 131072);", b"lo_open"),
        (b"SELECT pg_catalog.lowrite(0, '\\x00ff');", b"lowrite"),
        (b"SELECT pg_catalog.lowrite(0, '\\\\x00ff');", b"lowrite"),
        (b"SELECT pg_catalog.lo_close(0);", b"lo_close"),
        (b"SELECT pg_catalog.set_config('search_path', '', false);", b"set_config"),
        (b"CREATE TABLE t (a integer);", b""),
        (b"SELECTION;", b""),
    ],
)
def test_what_pg_dump_writes_is_known(text: bytes, name: bytes) -> None:
    assert called(text) == name


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT pg_catalog.setval('public.s', 12, true), public.evil();",
        b"SELECT pg_catalog.setval('public.s', public.evil(), true);",
        b"SELECT pg_catalog.setval('public.s', 12, true) FROM public.evil();",
        b"SELECT pg_catalog.lo_create('1'), public.evil();",
        b"SELECT pg_catalog.lo_open('1', public.evil());",
        b"SELECT pg_catalog.lowrite(0, '\\x00'::bytea || public.evil());",
        b"SELECT pg_catalog.lo_close(public.evil());",
        b"SELECT pg_catalog.set_config('search_path', '', false), public.evil();",
        b"SELECT pg_catalog.set_config('session_authorization', 'postgres', false);",
        b"SELECT pg_catalog.pg_sleep(1);",
        b"SELECT public.evil();",
        b"SELECT\nevil();",
        b"SELECT(evil());",
        b"select evil();",
        b"SELECT/**/evil();",
    ],
)
def test_a_select_that_does_anything_else_is_no_part_of_a_dump(text: bytes) -> None:
    with pytest.raises(IntegrityError, match="a SELECT in it"):
        called(text)
