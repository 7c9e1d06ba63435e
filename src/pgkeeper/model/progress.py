"""How an operation tells a door where it stands."""

from typing import Protocol


class Progress(Protocol):
    """Receives what an operation is doing. Implementations must be quick and must not raise."""

    def phase(self, name: str) -> None:
        """Begin a phase; `name` is shown to people ("dump app", "load data")."""

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Report bytes done in this phase, and the (estimated) total if one is known."""

    def note(self, text: str) -> None:
        """Pass on a remark worth showing at once, such as who holds a lock we wait for."""


class NullProgress:
    """Progress for callers who do not watch."""

    def phase(self, name: str) -> None:
        """Ignore."""

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""
