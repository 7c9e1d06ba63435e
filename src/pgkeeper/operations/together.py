"""Several pieces of work at once, and one progress for them all."""

import threading

from pgkeeper.model.progress import Progress


class Together:
    """One progress for several pieces of work that go on at once, in threads of their own: their bytes are added up."""

    def __init__(self, whole: Progress, parts: int) -> None:
        self._whole = whole
        self._lock = threading.Lock()
        self._bytes: dict[int, tuple[int, int | None]] = {}
        whole.phase(f"{parts} at once")

    def part(self, name: str) -> "Part":
        """Return the progress of one piece of work; `name` says which in what it tells."""
        return Part(self, name)

    def note(self, text: str) -> None:
        """Pass on a remark."""
        with self._lock:
            self._whole.note(text)

    def count(self, part: int, done_bytes: int, total_bytes: int | None) -> None:
        """Take in how far one part is. The sum has a total only while every part that counts knows its own."""
        with self._lock:
            self._bytes[part] = (done_bytes, total_bytes)
            totals = [total for _done, total in self._bytes.values()]
            known = [total for total in totals if total is not None]
            total = sum(known) if len(known) == len(totals) else None
            self._whole.advance(sum(done for done, _total in self._bytes.values()), total)


class Part:
    """The progress of one of several pieces of work."""

    def __init__(self, together: Together, name: str) -> None:
        self._together = together
        self._name = name

    def phase(self, name: str) -> None:
        """Say what this piece of work begins."""
        self._together.note(f"{self._name}: {name}")

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Count this piece's bytes into the sum."""
        self._together.count(id(self), done_bytes, total_bytes)

    def note(self, text: str) -> None:
        """Pass on a remark, saying whose it is."""
        self._together.note(f"{self._name}: {text}")
