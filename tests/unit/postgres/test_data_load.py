"""Sharing a dump's tables among several sessions."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.postgres.data_load import turns


def test_a_session_that_makes_large_objects_gets_fewer_tables_and_is_alone_where_they_are_most() -> None:
    tables = {("public", "big"): 1000, ("public", "small"): 900}
    assert turns(tables, 2, 0) == {("public", "big"): 0, ("public", "small"): 1}
    assert turns(tables, 2, 500) == {("public", "big"): 1, ("public", "small"): 0}
    assert turns(tables, 2, 1900) == {("public", "big"): 1, ("public", "small"): 1}
    assert turns(tables, 2, 1901) == {("public", "big"): 0, ("public", "small"): 0}


SIZES = st.dictionaries(st.tuples(st.just("public"), st.text(max_size=3)), st.integers(min_value=0, max_value=10**12))


@given(SIZES, st.integers(min_value=1, max_value=8))
def test_every_table_has_its_turn_and_no_session_has_more_than_one_table_too_many(
    tables: dict[tuple[str, str], int], sessions: int
) -> None:
    found = turns(tables, sessions)
    assert set(found) == set(tables)
    assert set(found.values()) <= set(range(sessions))
    bytes_of = Counter(dict.fromkeys(range(sessions), 0))
    for name, number in found.items():
        bytes_of[number] += tables[name]
    assert max(bytes_of.values()) - min(bytes_of.values()) <= max(tables.values(), default=0)
