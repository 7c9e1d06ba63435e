"""A superuser runs what no ordinary role may make; all that can run an owner's code is run by that owner."""

from __future__ import annotations

import pytest

from pgkeeper.postgres.load.entries import Entry
from pgkeeper.postgres.load.entry_owners import early_privileges, superusers_entries

TRUSTED = {b"sql", b"plpgsql"}
SETTINGS = {b"search_path", b"work_mem", b"timezone"}


def entry(number: int, kind: str, text: str, owner: str = "app", after: frozenset[int] = frozenset()) -> Entry:
    return Entry(number, kind, owner, (text.encode(),), (text.encode(),), (), after, post_data=False)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("TABLE public t app", "CREATE TABLE public.t (a int);"),
        ("TABLE ATTACH public t app", "ALTER TABLE ONLY public.p ATTACH PARTITION public.t FOR VALUES IN ('a');"),
        ("INDEX public i app", "CREATE INDEX i ON public.t USING btree (public.f(a));"),
        ("CONSTRAINT public t c app", "ALTER TABLE ONLY public.t ADD CONSTRAINT c PRIMARY KEY (a);"),
        ("FK CONSTRAINT public t c app", "ALTER TABLE ONLY public.t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES public.u;"),
        ("CHECK CONSTRAINT public t c app", "ALTER TABLE public.t ADD CONSTRAINT c CHECK (f(t.*));"),
        ("DOMAIN public d app", "CREATE DOMAIN public.d AS text;"),
        (
            "AGGREGATE public a(int) app",
            "CREATE AGGREGATE public.a(integer) (\n    SFUNC = int4_sum,\n    STYPE = public.d,\n    INITCOND = 'x'\n);",
        ),
        ("MATERIALIZED VIEW public m app", "CREATE MATERIALIZED VIEW public.m AS SELECT 1 WITH NO DATA;"),
        ("STATISTICS public s app", "CREATE STATISTICS public.s ON public.f(a), b FROM public.t;"),
        ("DEFAULT public t a app", "ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT public.f(1);"),
        ("TYPE public r app", "CREATE TYPE public.r AS RANGE (\n    subtype = integer\n);"),
        (
            "FUNCTION public f() app",
            "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE plpgsql IMMUTABLE\n    AS $$begin return 1; end$$;",
        ),
        (
            "FUNCTION public f() app",
            "CREATE FUNCTION public.f() RETURNS int\n    LANGUAGE sql\n    AS $$select 'x' -- LEAKPROOF\n    SET $$;",
        ),
        (
            "FUNCTION public f() app",
            (
                "CREATE FUNCTION public.f()"
                " RETURNS int\n    LANGUAGE sql\n    SET search_path TO ''\n    SET \"TimeZone\" TO 'UTC'\n    AS $$select 1$$;"
            ),
        ),
        (
            "FUNCTION public f(c) app",
            "CREATE FUNCTION public.f(a public.c DEFAULT '(1)'::public.c) RETURNS int\n    LANGUAGE sql LEAKPROOF\n    AS $$select 1$$;",
        ),
        (
            "FUNCTION public f() app",
            "CREATE FUNCTION public.f() RETURNS public.c\n    LANGUAGE sql LEAKPROOF\n    RETURN '{1}'::\"odd one\".d[];",
        ),
        (
            "FUNCTION public f(text) app",
            (
                "CREATE FUNCTION public.f(a text DEFAULT '\n    LANGUAGE c\n    AS '::text)"
                " RETURNS int\n    LANGUAGE sql\n    AS $$select 1$$;"
            ),
        ),
        (
            "AGGREGATE public a(int) app",
            "CREATE AGGREGATE public.a(integer) (\n    SFUNC = f,\n    STYPE = public.d,\n    INITCOND = 'x\n    STYPE = internal'\n);",
        ),
        (
            "AGGREGATE public a(int) app",
            "CREATE AGGREGATE public.a(integer) (\n    SFUNC = f,\n    STYPE = internal,\n    MSTYPE = public.d,\n    MINITCOND = 'x'\n);",
        ),
        ("RULE public t r app", "CREATE RULE r AS ON INSERT TO public.t DO ALSO NOTHING;"),
        ("TRIGGER public t r app", "CREATE TRIGGER r BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f();"),
        ("POLICY public t p app", "CREATE POLICY p ON public.t USING (public.f(a));"),
    ],
)
def test_what_can_run_code_is_run_by_its_owner(kind: str, text: str) -> None:
    assert superusers_entries([entry(1, kind, text)], {"postgres"}, TRUSTED, SETTINGS) == frozenset()
    assert superusers_entries([entry(1, kind, text, owner="postgres")], {"postgres"}, TRUSTED, SETTINGS) == {1}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("SCHEMA - app app", "CREATE SCHEMA app;"),
        ("EXTENSION - citext ", "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;"),
        ("CAST - CAST (public.e AS text) ", "CREATE CAST (public.e AS text) WITH FUNCTION public.conv(public.e) AS IMPLICIT;"),
        ("OPERATOR CLASS public o app", "CREATE OPERATOR CLASS public.o FOR TYPE integer USING btree AS OPERATOR 1 <;"),
        ("SERVER - s app", "CREATE SERVER s FOREIGN DATA WRAPPER w;"),
        ("ACL public TABLE t app", "GRANT SELECT ON TABLE public.t TO PUBLIC;"),
        ("COMMENT public TABLE t app", "COMMENT ON TABLE public.t IS 'x';"),
        ("TYPE public b app", "CREATE TYPE public.b (\n    INTERNALLENGTH = 4,\n    INPUT = public.b_in,\n    OUTPUT = public.b_out\n);"),
        ('TYPE odd "b app', 'CREATE TYPE "o""d".b (\n    INPUT = public.b_in\n);'),
        (
            "FUNCTION public f() app",
            "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE c IMMUTABLE STRICT\n    AS '$libdir/x', 'f';",
        ),
        (
            "FUNCTION public f() app",
            "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE sql IMMUTABLE LEAKPROOF\n    AS $$select 1$$;",
        ),
        (
            "FUNCTION public f() app",
            "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE sql\n    SET log_statement TO 'none'\n    AS $$select 1$$;",
        ),
        (
            "FUNCTION public f() app",
            (
                "CREATE FUNCTION public.f(a text DEFAULT 'a\n    LANGUAGE sql\n    AS '::text)"
                " RETURNS integer\n    LANGUAGE c\n    AS 'x', 'f';"
            ),
        ),
        ("AGGREGATE public a(int) app", "CREATE AGGREGATE public.a(integer) (\n    SFUNC = int8_avg_accum,\n    STYPE = internal\n);"),
    ],
)
def test_what_no_ordinary_role_may_make_is_run_by_a_superuser(kind: str, text: str) -> None:
    assert superusers_entries([entry(1, kind, text)], {"postgres"}, TRUSTED, SETTINGS) == {1}


def test_a_type_is_announced_by_whoever_completes_it() -> None:
    shell = entry(1, "SHELL TYPE public b app", "CREATE TYPE public.b;")
    base = entry(2, "TYPE public b app", "CREATE TYPE public.b (\n    INPUT = public.b_in\n);", after=frozenset({1}))
    assert superusers_entries([shell, base], {"postgres"}, TRUSTED, SETTINGS) == {1, 2}
    ranged = entry(2, "TYPE public b app", "CREATE TYPE public.b AS RANGE (\n    subtype = integer\n);", after=frozenset({1}))
    assert superusers_entries([shell, ranged], {"postgres"}, TRUSTED, SETTINGS) == frozenset()


def test_what_functions_forbid_holds_before_anybody_can_call_them_and_what_tables_forbid_after_the_data() -> None:
    entries = [
        entry(
            1, "FUNCTION public f() app", "CREATE FUNCTION public.f() RETURNS int\n    LANGUAGE sql SECURITY DEFINER\n    AS $$select 1$$;"
        ),
        entry(2, "ACL public FUNCTION f() app", "REVOKE ALL ON FUNCTION public.f() FROM PUBLIC;", after=frozenset({1})),
        entry(3, "TABLE public t app", "CREATE TABLE public.t ();"),
        entry(4, "ACL public TABLE t app", "REVOKE ALL ON TABLE public.t FROM app;", after=frozenset({3})),
        entry(
            5,
            "FUNCTION public g() app",
            "CREATE FUNCTION public.g() RETURNS trigger\n    LANGUAGE plpgsql SECURITY DEFINER\n    AS $$begin end$$;",
        ),
        entry(6, "ACL public FUNCTION g() app", "REVOKE ALL ON FUNCTION public.g() FROM PUBLIC;", after=frozenset({5})),
        entry(
            9,
            "FUNCTION public h() app",
            "CREATE FUNCTION public.h() RETURNS void\n    LANGUAGE sql SECURITY DEFINER\n    AS $$x() RETURNS trigger\n$$;",
        ),
        entry(10, "ACL public FUNCTION h() app", "REVOKE ALL ON FUNCTION public.h() FROM PUBLIC;", after=frozenset({9})),
        entry(11, "FUNCTION public k() app", "CREATE FUNCTION public.k() RETURNS int\n    LANGUAGE sql\n    AS $$select 1$$;"),
        entry(12, "ACL public FUNCTION k() app", "REVOKE ALL ON FUNCTION public.k() FROM PUBLIC;", after=frozenset({11})),
        entry(7, "SCHEMA - s app", "CREATE SCHEMA s;"),
        entry(8, "ACL - SCHEMA s app", "GRANT USAGE ON SCHEMA s TO PUBLIC;", after=frozenset({7})),
    ]
    assert early_privileges(entries) == {2, 8, 10}
