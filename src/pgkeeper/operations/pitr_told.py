"""What the owner was told of the archive, so that he hears of each thing once, and once a day of what lasts."""

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


class _Told(BaseModel):
    problems: tuple[str, ...] = ()
    at: datetime | None = None
    seen: tuple[str, ...] = ()


class ToldRecord:
    """The record. Lost, the owner hears of everything once more."""

    def __init__(self, settings: Settings) -> None:
        self._path: Path = pitr_state(settings) / "told.json"

    def knows(self, what: str) -> bool:
        """Tell whether the owner was told of something before, however long ago, in words that begin with `what`."""
        return any(text.startswith(what) for text in self._read().seen)

    def due(self, problems: Sequence[str], now: datetime) -> bool:
        """Tell whether the owner is to be told of these problems, and remember that he is."""
        before = self._read()
        new = set(problems) - set(before.problems)
        due = bool(new) or (bool(problems) and (before.at is None or now - before.at >= _TOLD_AGAIN))
        seen = tuple(dict.fromkeys((*before.seen, *problems)))[-_KEPT:]
        after = _Told(problems=tuple(problems), at=now if due else before.at, seen=seen)
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
