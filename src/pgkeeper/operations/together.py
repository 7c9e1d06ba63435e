"""Several pieces of work at once, and one progress for them all."""

import threading

from pgkeeper.model.progress import Progress


class Together:
    """One progress for several pieces of work that go on at once, in threads of their own: their bytes are added up."""

    def __init__(self, whole: Progress, parts: int) -> None:
        self._whole = whole
        self._lock = threading.Lock()
        self._now: dict[int, int] = {}
        self._before = 0
        whole.phase(f"{parts} at once")

    def part(self, name: str) -> "Part":
        """Return the progress of one piece of work; `name` says which in what it tells."""
        return Part(self, name)

    def note(self, text: str) -> None:
        """Pass on a remark."""
        with self._lock:
            self._whole.note(text)

    def count(self, part: int, done_bytes: int) -> None:
        """Take in how far one part is. A part that counts from the beginning again has entered another phase.

        There is no total, since nobody knows how many phases count bytes: a guess at the time left would be far off.
        """
        with self._lock:
            last = self._now.get(part, 0)
            if done_bytes < last:
                self._before += last
            self._now[part] = done_bytes
            self._whole.advance(self._before + sum(self._now.values()), None)


class Part:
    """The progress of one of several pieces of work."""

    def __init__(self, together: Together, name: str) -> None:
        self._together = together
        self._name = name

    def phase(self, name: str) -> None:
        """Say what this piece of work begins."""
        self._together.note(f"{self._name}: {name}")

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:  # noqa: ARG002 - see Together.count
        """Count this piece's bytes into the sum."""
        self._together.count(id(self), done_bytes)

    def note(self, text: str) -> None:
        """Pass on a remark, saying whose it is."""
        self._together.note(f"{self._name}: {text}")
