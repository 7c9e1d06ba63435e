"""Sharing a dump's tables among several sessions."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.postgres.data_load import turns

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
