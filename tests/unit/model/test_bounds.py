"""How much of a file is read."""

import pytest

from pgkeeper.model.bounds import bounded, most_decompressed
from pgkeeper.model.errors import IntegrityError


def test_what_stays_within_its_bound_passes_unchanged() -> None:
    assert b"".join(bounded([b"ab", b"", b"cd"], 4, "globals.sql.gz")) == b"abcd"


def test_one_byte_too_many_is_damage_that_names_the_file_and_nothing_more_is_read() -> None:
    taken = []

    def endless() -> object:
        while True:
            taken.append(1)
            yield b"x" * 100

    with pytest.raises(IntegrityError, match=r"globals\.sql\.gz is damaged: it holds more than"):
        list(bounded(endless(), 250, "globals.sql.gz"))  # type: ignore[arg-type]
    assert len(taken) == 3


def test_a_bound_grows_with_the_file_and_ends_somewhere() -> None:
    assert most_decompressed(0) >= 1 << 20
    assert most_decompressed(10**6) > 100 * 10**6
    assert most_decompressed(10**12) == most_decompressed(10**13)
