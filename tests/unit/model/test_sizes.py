"""Sizes."""

import pytest

from pgkeeper.model.sizes import format_size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (1_660_000_000, "1.66 GB"), (999_600, "1.00 MB"), (3.2e17, "320.00 PB")],
)
def test_sizes_are_decimal_with_three_digits(size: float, text: str) -> None:
    assert format_size(size) == text
