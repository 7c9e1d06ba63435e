"""The server's configuration files, as a tar: what a dump doesn't hold and a rebuilt server needs.

They are read through the server itself (pg_read_binary_file), which knows where they are and may read them. Private keys are not
among them.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator

import psycopg

from pgkeeper.model.bounds import CONFIG_BYTES, bounded
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import CONFIG_FILE
from pgkeeper.postgres.server import Session

_SETTINGS_FILE = "settings.txt"
_FILES = """
SELECT name, path FROM (
    SELECT 'postgresql.conf' AS name, current_setting('config_file') AS path
    UNION SELECT 'pg_hba.conf', current_setting('hba_file')
    UNION SELECT 'pg_ident.conf', current_setting('ident_file')
    UNION SELECT 'postgresql.auto.conf', current_setting('data_directory') || '/postgresql.auto.conf'
    UNION SELECT 'included' || sourcefile, sourcefile FROM pg_file_settings
          WHERE sourcefile NOT IN (current_setting('config_file'), current_setting('data_directory') || '/postgresql.auto.conf')
) files ORDER BY name
"""
_SETTINGS = """
SELECT format('%s = %L', name, current_setting(name)) AS line FROM pg_settings
WHERE source NOT IN ('default', 'override', 'client', 'session') ORDER BY name
"""


def server_config_tar(session: Session, warnings: list[str]) -> Iterator[bytes]:
    """Yield a tar of the configuration files and `settings.txt` (every setting in force that is not a default).

    A file that the server cannot read is named in `warnings`, and so is one that would make the tar larger than it is read again; neither
    ever costs the backup.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for row in session.execute(_FILES).fetchall():
            content = _read(session, row["path"], warnings)
            if content is not None and buffer.tell() + len(content) > CONFIG_BYTES // 2:
                warnings.append(f"server configuration: {row['path']} was not saved: all files together are too large")
            elif content is not None:
                _add(archive, row["name"], content)
        lines = [row["line"] for row in session.execute(_SETTINGS)]
        _add(archive, _SETTINGS_FILE, "\n".join([*lines, ""]).encode())
    yield buffer.getvalue()


def saved_setting(tar: Iterable[bytes], name: str) -> str:
    """Return what a saved configuration says a setting was; nothing when it had its default, or that was not saved.

    The tar is read as it comes, and never more than CONFIG_BYTES of it. Raises IntegrityError for what is no tar, and what `tar` raises.
    """
    source = _Stream(bounded(tar, CONFIG_BYTES, CONFIG_FILE))
    lines = None
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=tarfile.RECORDSIZE) as archive:
            found = 0
            while member := archive.next():
                found += 1
                # Else it remembers each.
                archive.members = []  # type: ignore[attr-defined]
                if member.name == _SETTINGS_FILE and (file := archive.extractfile(member)) is not None:
                    lines = file.read().decode("utf-8", "replace").split("\n")
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        source.drain()
        raise IntegrityError(f"{CONFIG_FILE} is damaged", f"it is no tar: {str(error) or type(error).__name__}") from error
    source.drain()
    if not found:
        raise IntegrityError(f"{CONFIG_FILE} is damaged", "there is no file in it")
    for line in lines or ():
        key, separator, value = line.partition(" = ")
        if separator and key == name:
            return value.removeprefix("E").strip("'").replace("''", "'")
    return ""


class _Stream(io.RawIOBase):
    """A readable file over chunks, which are taken one at a time."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        """Say yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer at the end alone: the tar reader takes a short answer for the end."""
        parts, left = [], size
        while left:
            if not self._rest and not (rest := next(self._chunks, b"")):
                break
            if not self._rest:
                self._rest = rest
            part, self._rest = self._rest[:left], self._rest[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def drain(self) -> None:
        """Read on to the end, so that everything is checked that is checked there."""
        for _ in self._chunks:
            pass


def _read(session: Session, path: str, warnings: list[str]) -> bytes | None:
    try:
        with session.transaction():
            row = session.execute("SELECT pg_read_binary_file(%s, 0, 16777216, true) AS content", (path,)).fetchone()
    except psycopg.Error as error:
        warnings.append(f"server configuration: {path} was not saved: {error.diag.message_primary or 'unreadable'}")
        return None
    return row["content"] if row else None


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o600
    archive.addfile(entry, io.BytesIO(content))
