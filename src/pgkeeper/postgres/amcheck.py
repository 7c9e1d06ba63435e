"""`pg_amcheck`: tables and B-tree indexes of one database, page by page, as extension amcheck sees them."""

from pgkeeper.host.processes import Child, describe, in_memory
from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import Server, Session

_DAMAGED = 2
"""pg_amcheck's exit status when it found corruption (its source, pg_amcheck.c)."""
_INSTALLED = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'amcheck') AS installed"


def has_amcheck(session: Session) -> bool:
    """Tell whether the session's database has the extension. It is never installed by us: that would change production."""
    row = session.execute(_INSTALLED).fetchone()
    return bool(row and row["installed"])


def amcheck(server: Server, database: str, major: int, *, heap_all_indexed: bool = False) -> tuple[str, ...]:
    """Check a database and return what is damaged, as pg_amcheck says it.

    `heap_all_indexed` also looks whether each row is in each index, which takes as long as building them. Raises OperationFailed when it
    could not look, ConfigurationError (exit status 3) where that major's pg_amcheck is missing.
    """
    options = ["--no-password", *(["--heapallindexed"] if heap_all_indexed else [])]
    checker = program("pg_amcheck", major)
    with (
        in_memory("stdout") as output,
        Child([checker, *options, server.target(database)], server.environment(major), stdout=output) as child,
    ):
        status = child.wait()
        if status not in (0, _DAMAGED):
            raise OperationFailed(f"pg_amcheck of database {database} failed", describe(child, status))
        output.seek(0)
        said = [line.strip() for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if status == _DAMAGED:
        return tuple(said) or ("pg_amcheck found damage",)
    return ()
