"""What expiry remembers between its runs, in `BACKUP_STATE_DIR/expiry.json`: when it last looked, and since when the clock is believed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.settling import Look, begin, look
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings

_WAIT = timedelta(seconds=10)


class _Remembered(Message):
    seen_at: AwareDatetime
    trusted_since: AwareDatetime
    reason: str


def look_at_clock(settings: Settings, now: datetime) -> Look:
    """Return what a look at `now` amounts to, given what was remembered. Changes nothing.

    Where nothing is remembered, or it can't be read, the look begins a settling time. On a fresh installation that costs nothing: no
    backup there is old enough to go.
    """
    try:
        remembered = _Remembered.model_validate_json(_path(settings).read_bytes())
        if remembered.trusted_since > remembered.seen_at:
            raise ValueError("it contradicts itself")
    except FileNotFoundError:
        return begin(now, "expiry looks for the first time here")
    except (OSError, ValueError, ValidationError) as error:
        log.warning("what expiry remembers cannot be read", path=str(_path(settings)), error=type(error).__name__)
        return begin(now, "what expiry remembered cannot be read")
    return look(Look(remembered.seen_at, remembered.trusted_since, remembered.reason), now)


def remember_look(settings: Settings, now: datetime) -> Look:
    """Look as `look_at_clock` does, and remember it. Raises OSError when that can't be written; then the next look tells the same."""
    with exclusive(settings.state_dir, "expiry state", "another look at the clock", _WAIT):
        found = look_at_clock(settings, now)
        _write(settings, found)
        return found


def begin_settling(settings: Settings, reason: str) -> None:
    """Let expiry remove nothing for a day from now on. `reason` is told to people ("the catalog was rebuilt").

    For whoever rebuilds what was lost. Raises OSError or PgkeeperError when it can't be written.
    """
    with exclusive(settings.state_dir, "expiry state", "another look at the clock", _WAIT):
        _write(settings, begin(datetime.now(UTC), reason))
    log.info("expiry is settling", reason=reason)


def _write(settings: Settings, found: Look) -> None:
    remembered = _Remembered(seen_at=found.seen_at, trusted_since=found.trusted_since, reason=found.reason)
    replace_file(_path(settings), remembered.model_dump_json(indent=1).encode() + b"\n")


def _path(settings: Settings) -> Path:
    return settings.state_dir / "expiry.json"
