"""What goes wrong with a benchmark, in one line."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The benchmark cannot go on; its text says why, and what to do about it."""
