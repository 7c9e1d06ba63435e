"""Dumps built from known parts, as pg_dump writes them."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

HEAD = b"""--
-- PostgreSQL database dump
--

\\restrict AbC123

-- Dumped from database version 15.8

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

"""
TAIL = b"--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict AbC123\n\n"
TRICKY_BODY = b"""CREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS $_$
begin return '
COPY public.fake (a) FROM stdin;
1
\\.
'; end $_$;"""


@dataclass
class Dump:
    """A dump and what is in it: tables (name as written, rows as COPY lines), sequences, schema statements."""

    tables: list[tuple[bytes, list[bytes]]] = field(default_factory=list)
    schema: list[bytes] = field(default_factory=list)
    sequences: list[tuple[bytes, int]] = field(default_factory=list)

    def text(self) -> bytes:
        """Return the dump's text."""
        parts = [HEAD]
        parts += [b"--\n-- Name: x; Type: TABLE\n--\n\n" + statement + b"\n\n\n" for statement in self.schema]
        for name, rows in self.tables:
            parts.append(b"COPY " + name + b" (id, body) FROM stdin;\n" + b"".join(row + b"\n" for row in rows) + b"\\.\n\n\n")
        parts += [b"SELECT pg_catalog.setval('" + name + b"', %d, true);\n\n" % value for name, value in self.sequences]
        return b"".join(parts) + TAIL


ROWS = st.lists(
    st.sampled_from(
        [b"", b"1\ta", b"2\t\\\\.", b"\\N\t\\n", b"3\t;'$$", b"COPY public.x (a) FROM stdin;", b".", b"\\\\.", b"\xc3\xbc" * 9]
    ),
    max_size=12,
)
NAMES = st.sampled_from([b"public.posts", b'public."we ird ""n"', b'"A.b"."c(d"', b"public.\xc3\xbc", b'public."FROM stdin;"'])
SCHEMA = st.lists(
    st.sampled_from([TRICKY_BODY, b"CREATE TABLE public.posts (id integer, body text);", b"ALTER TABLE public.posts OWNER TO app;"]),
    max_size=4,
)
DUMPS = st.builds(
    Dump,
    tables=st.lists(st.tuples(NAMES, ROWS), max_size=4, unique_by=lambda item: item[0]),
    schema=SCHEMA,
    sequences=st.lists(st.tuples(st.sampled_from([b"public.s", b"public.\"it''s\""]), st.integers(-5, 2**63 - 1)), max_size=1),
)


def chunks(text: bytes, size: int) -> list[bytes]:
    """Return `text` cut into pieces of `size` bytes."""
    return [text[start : start + size] for start in range(0, len(text), size)]
