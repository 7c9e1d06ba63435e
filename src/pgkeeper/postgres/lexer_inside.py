"""Long things inside a dump's text: strings, comments, names, that begin in one piece of it and end in another."""

import re
from typing import NamedTuple, Protocol

_BLOCK_EDGE = re.compile(rb"/\*|\*/")
_ESCAPED_PART = re.compile(rb"[^'\\]*+(?:(?:\\[\x00-\xff]|'')[^'\\]*+)*+")


class Inside(Protocol):
    """Something that has begun and not ended."""

    def pass_on(self, text: bytes, position: int, *, at_end: bool) -> tuple[int, bool]:
        """Return how far `text` is understood from `position` on, and whether the thing ends there."""


class Until(NamedTuple):
    """Ends with the first `end`."""

    end: bytes

    def pass_on(self, text: bytes, position: int, *, at_end: bool) -> tuple[int, bool]:  # noqa: ARG002 - more text would not change it
        """Look for the end. The last bytes of a text may be its beginning."""
        found = text.find(self.end, position)
        if found >= 0:
            return found + len(self.end), True
        return max(position, len(text) - len(self.end) + 1), False


class Escaped:
    """A string in which a backslash escapes, and a doubled quote is one quote."""

    def pass_on(self, text: bytes, position: int, *, at_end: bool) -> tuple[int, bool]:
        """Look for a quote that is not followed by another one."""
        found = _ESCAPED_PART.match(text, position)
        assert found is not None
        reached = found.end()
        if text[reached : reached + 1] == b"'" and (reached + 1 < len(text) or at_end):
            return reached + 1, True
        return reached, False


class Part(NamedTuple):
    """A word or a number, made of what `pattern` matches."""

    pattern: re.Pattern[bytes]

    def pass_on(self, text: bytes, position: int, *, at_end: bool) -> tuple[int, bool]:
        """Look for what does not belong to it any more."""
        found = self.pattern.match(text, position)
        assert found is not None
        return found.end(), found.end() < len(text) or at_end


class Block:
    """A block comment. They nest."""

    def __init__(self) -> None:
        self._depth = 1

    def pass_on(self, text: bytes, position: int, *, at_end: bool) -> tuple[int, bool]:  # noqa: ARG002 - more text would not change it
        """Look for the end of the outermost one. The last byte of a text may be half an edge."""
        for edge in _BLOCK_EDGE.finditer(text, position):
            self._depth += 1 if edge.group() == b"/*" else -1
            position = edge.end()
            if self._depth == 0:
                return position, True
        half = position < len(text) and text[-1:] in (b"/", b"*")
        return len(text) - half, False
