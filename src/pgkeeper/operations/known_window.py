"""Which moments the last check of the archive found that each repository can bring back: for whoever asks often and must not wait."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.coverage import Span
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.operations.pitr import attached, pitr_state
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings

_FILE = "window.json"


class KnownWindow(Message):
    """Any second from `begins_at` to `ends_at` can be brought back from `repository`, as a check at `checked_at` saw. Times are in UTC.

    It is the newest stretch without a gap; older ones, and moments since then, `pgkeeper pitr window` shows.
    """

    repository: RepositoryName
    begins_at: datetime
    ends_at: datetime
    checked_at: datetime


_WINDOWS = TypeAdapter(tuple[KnownWindow, ...])


def remember_windows(found: Mapping[RepositoryName, tuple[Span, ...]], timeline: int | None, now: datetime, settings: Settings) -> None:
    """Write down what a check found in the repositories it could look into: spans of production's `timeline`, of any where that is None.

    Of the others stays what was known of them. A record that can't be written is a line in the log, as the check's answer is worth more.
    """
    windows = {known.repository: known for known in known_windows(settings) if known.repository not in found}
    for repository, spans in found.items():
        own = [span for span in spans if timeline in (None, span.timeline)]
        if own:
            newest = max(own, key=lambda span: span.ends_at)
            windows[repository] = KnownWindow(repository=repository, begins_at=newest.begins_at, ends_at=newest.ends_at, checked_at=now)
    try:
        replace_file(pitr_state(settings) / _FILE, _WINDOWS.dump_json(tuple(windows.values())))
    except OSError as error:
        log.warning("what can be brought back could not be written down", error=error.strerror)


def known_windows(settings: Settings) -> tuple[KnownWindow, ...]:
    """Return what is written down of the repositories that are attached; nothing where that can't be read."""
    try:
        found = _WINDOWS.validate_json((pitr_state(settings) / _FILE).read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        log.warning("what can be brought back could not be read", error=type(error).__name__)
        return ()
    there = attached(settings)
    return tuple(sorted((known for known in found if known.repository in there), key=lambda known: number_of(known.repository)))
