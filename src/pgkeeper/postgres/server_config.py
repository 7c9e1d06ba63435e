"""The server's configuration files, as a tar: what a dump doesn't hold and a rebuilt server needs.

They are read through the server itself (pg_read_binary_file), which knows where they are and may read them. Private keys are not
among them.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress

import psycopg

from pgkeeper.postgres.server import Session

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
WHERE source NOT IN ('default', 'override', 'client', 'session', 'command line') ORDER BY name
"""


def server_config_tar(session: Session, warnings: list[str]) -> Iterator[bytes]:
    """Yield a tar of the configuration files and `settings.txt` (every setting in force that is not a default).

    A file that the server cannot read is named in `warnings`; it never costs the backup.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for row in session.execute(_FILES).fetchall():
            content = _read(session, row["path"], warnings)
            if content is not None:
                _add(archive, row["name"], content)
        lines = [row["line"] for row in session.execute(_SETTINGS)]
        _add(archive, "settings.txt", "\n".join([*lines, ""]).encode())
    yield buffer.getvalue()


def saved_setting(tar: Iterable[bytes], name: str) -> str:
    """Return what a saved configuration says a setting was; nothing when it had its default, or that was not saved."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar))) as archive, suppress(KeyError):
        member = archive.extractfile("settings.txt")
        for line in member.read().decode("utf-8", "replace").split("\n") if member else ():
            key, separator, value = line.partition(" = ")
            if separator and key == name:
                return value.removeprefix("E").strip("'").replace("''", "'")
    return ""


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
