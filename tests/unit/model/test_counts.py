"""Counts."""

import pytest

from pgkeeper.model.counts import count


@pytest.mark.parametrize(("number", "said"), [(0, "0 copies"), (1, "1 copy"), (2, "2 copies")])
def test_a_noun_follows_its_count(number: int, said: str) -> None:
    assert count(number, "copy", "copies") == said
    assert count(number, "table") == f"{number} table{'' if number == 1 else 's'}"
