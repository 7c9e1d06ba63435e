"""What the owner was told of the archive, so that he hears of each thing once, and once a day of what lasts."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.operations.pitr import pitr_state
from pgkeeper.settings import Settings

_TOLD_AGAIN = timedelta(hours=24)
_KEPT = 1000
_NUMBERS = re.compile(r"[0-9A-F]{24}|\d+")


class _Told(BaseModel):
    problems: tuple[str, ...] = ()
    at: datetime | None = None
    seen: tuple[str, ...] = ()


class ToldRecord:
    """The record. Lost, the owner hears of everything once more."""

    def __init__(self, settings: Settings) -> None:
        self._path: Path = pitr_state(settings) / "told.json"

    def knows(self, what: str) -> bool:
        """Tell whether the owner was told of a gap before, or of what else is told once, in words that begin with `what`."""
        return any(text.startswith(what) for text in self._read().seen)

    def due(self, problems: Sequence[str], gaps: Sequence[str], now: datetime) -> bool:
        """Tell whether the owner is to be told of these problems and gaps, and remember that he is.

        Problems that differ in numbers or segments alone are the same one; each gap, and what else is told once, is one of its own.
        """
        before = self._read()
        told = (*(_NUMBERS.sub("#", problem) for problem in problems), *gaps)
        due = bool(set(told) - set(before.problems)) or (bool(told) and (before.at is None or now - before.at >= _TOLD_AGAIN))
        seen = tuple(dict.fromkeys((*before.seen, *gaps)))[-_KEPT:]
        after = _Told(problems=told, at=now if due else before.at, seen=seen)
        if after != before:
            try:
                replace_file(self._path, after.model_dump_json().encode())
            except OSError as error:
                log.warning("what the owner was told could not be written down", error=error.strerror)
        return due

    def _read(self) -> _Told:
        try:
            return _Told.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return _Told()
        except (OSError, ValidationError) as error:
            log.warning("what the owner was told could not be read", error=type(error).__name__)
            return _Told()
