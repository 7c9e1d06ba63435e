"""What the shell offers for a backup's id and for a database's name, after the Tab key.

It says nothing but names: where something is wrong, it offers none, and the command itself says what.
"""

import io
from contextlib import redirect_stderr, redirect_stdout

from pgkeeper.model.shell import quoted


def backup_ids(incomplete: str) -> list[str]:
    """Return the ids of known backups that begin so, newest first."""
    return [backup_id for backup_id, _ in _known() if backup_id.startswith(incomplete)]


def backup_ids_or_latest(incomplete: str) -> list[str]:
    """Return the same, and `latest` where that begins so."""
    return [*(word for word in ("latest",) if word.startswith(incomplete)), *backup_ids(incomplete)]


def database_names(incomplete: str) -> list[str]:
    """Return the names of databases that have backups and begin so, as words for the shell."""
    return [quoted(name) for name in sorted({database for _, database in _known()}) if name.startswith(incomplete)]


def _known() -> tuple[tuple[str, str], ...]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            from pgkeeper.host.user import become_service_user
            from pgkeeper.operations.known_names import known_backups
            from pgkeeper.settings import load_settings

            become_service_user()
            return known_backups(load_settings())
        except Exception:  # noqa: BLE001 - no error may disturb the command line that the user is typing
            return ()
