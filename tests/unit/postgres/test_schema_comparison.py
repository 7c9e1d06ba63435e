"""A statement that PostgreSQL prints otherwise after a load is the same; one that says something else is not."""

from __future__ import annotations

from collections import Counter

import pytest

from pgkeeper.postgres.schema_comparison import schema_differences

PROMISED = b"CREATE TABLE public.t (\n    k text CHECK (k = ANY ((ARRAY['a'])::text[]))\n);"
REPRINTED = b"CREATE TABLE public.t (\n    k text CHECK (k = ANY (ARRAY[('a')::text]))\n);"
CHANGED = b"CREATE TABLE public.t (\n    k text CHECK (k = ANY (ARRAY[('b')::text]))\n);"
OTHER = b"CREATE INDEX i ON public.t USING btree (k);"


def statements(*texts: bytes) -> Counter[bytes]:
    return Counter(texts)


def never() -> Counter[bytes]:
    pytest.fail("nothing needs to be loaded again")


def test_equal_statements_need_no_second_load() -> None:
    assert schema_differences(statements(PROMISED, OTHER), statements(OTHER, PROMISED), never) == ()


def test_what_a_fresh_load_prints_is_equal() -> None:
    assert schema_differences(statements(PROMISED, OTHER), statements(REPRINTED, OTHER), lambda: statements(REPRINTED, OTHER)) == ()


def test_what_a_fresh_load_prints_otherwise_is_a_difference() -> None:
    lines = schema_differences(statements(PROMISED, OTHER), statements(CHANGED, OTHER), lambda: statements(REPRINTED, OTHER))
    assert lines == ("not promised: CREATE TABLE public.t",)


def test_without_a_fresh_load_every_difference_counts() -> None:
    assert schema_differences(statements(PROMISED), statements(REPRINTED)) != ()


def test_a_statement_that_a_fresh_load_loses_too_is_still_missing() -> None:
    assert schema_differences(statements(PROMISED, OTHER), statements(PROMISED), never) == (
        "missing: CREATE INDEX i ON public.t USING btree",
    )


def test_a_loss_does_not_hide_behind_a_statement_that_is_printed_otherwise() -> None:
    lines = schema_differences(statements(PROMISED, OTHER), statements(REPRINTED), never)
    assert "missing: CREATE INDEX i ON public.t USING btree" in lines


def test_a_statement_that_stayed_but_a_fresh_load_prints_otherwise_is_a_difference_of_its_kin() -> None:
    # The restored database prints the promised text, and another one besides.
    lines = schema_differences(statements(PROMISED), statements(PROMISED, CHANGED), never)
    assert lines == ("not promised: CREATE TABLE public.t",)
