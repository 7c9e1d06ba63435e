"""Comparing what came out with what was promised."""

import pytest

from pgkeeper.model.comparison import differences
from pgkeeper.model.manifest import Contents
from tests.unit.builders import contents, table


def test_equal_contents_have_no_differences() -> None:
    assert differences(contents(), contents()) == ()


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (contents(table("other")), "table public.posts: missing"),
        (contents(table(), table("other")), "table public.other: not promised"),
        (contents(table(rows=3)), "table public.posts: 3 rows found, 2 promised"),
        (contents(table(digest="c")), "table public.posts: 2 rows, but their content differs"),
        (contents(sequence=8), "sequence public.posts_id_seq: at 8, promised 7"),
        (contents(objects=1), "large objects: 1 with 0 bytes found"),
        (contents(schema="c"), "schema: 12 statements found, 12 promised, or other text"),
    ],
)
def test_each_kind_of_difference_is_named(found: Contents, line: str) -> None:
    assert any(difference.startswith(line) for difference in differences(contents(), found))


def test_rows_in_another_order_are_the_same_rows() -> None:
    assert differences(contents(), contents(table(digest="c")), same_rows=lambda _promised, _found: True) == ()
    assert differences(contents(), contents(table(rows=3, digest="c")), same_rows=lambda _promised, _found: True)


def test_the_schema_can_be_left_out() -> None:
    assert differences(contents(), contents(schema="c"), with_schema=False) == ()


def test_hundreds_of_differences_end_in_a_count() -> None:
    promised = contents(*(table(f"t{number}") for number in range(300)))
    lines = differences(promised, contents(table("t0")))
    assert len(lines) == 21
    assert lines[-1] == "and 279 more differences"
