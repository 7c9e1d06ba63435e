"""Copying a table out of a server into a file that psql loads."""

from pathlib import Path

from pgkeeper.host.durable import fsync_directory
from pgkeeper.host.processes import run
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.names import encode_segment
from pgkeeper.postgres.planned_code import filters_run_no_code
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import Server

_SECONDS = 24 * 3600
_LOCK_SECONDS = 300


def export_table(server: Server, major: int, database: str, table: str, directory: Path) -> Path:
    """Write a table, named as psql's patterns do (`schema.table`, or `table` in any schema), to a file in `directory`; return its path.

    Raises OperationFailed, also when there is no such table, RefusedError where that would run an owner's code as a superuser.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"cannot make {directory}", error.strerror or "") from error
    path = directory / f"{encode_segment(database)}.{encode_segment(table)}.sql"
    partial = path.with_name(f".{path.name}.partial")
    # Without a schema a pattern means what the search path shows, and ours shows nothing.
    pattern = table if "." in table else f"*.{table}"
    options = ["--strict-names", f"--table={pattern}", f"--file={partial}", "-d", server.target(database)]
    with filters_run_no_code(server, database, _LOCK_SECONDS):
        run([program("pg_dump", major), *options], server.environment(major), timeout=_SECONDS)
    partial.rename(path)
    fsync_directory(directory)
    return path
