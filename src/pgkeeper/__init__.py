"""pgkeeper keeps PostgreSQL databases recoverable, and proves it."""

__version__ = "0.1.0"
