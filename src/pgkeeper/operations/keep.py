"""Keep a copy that pgkeeper made as a database of its owner's own, under the name it has."""

from pgkeeper.host.logs import log
from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.copy_mark import list_copies, unmark_copy
from pgkeeper.postgres.new_database import database_exists, database_is_closed, opening_command
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings


class KeepReport(Message):
    """Which database is its owner's own; `changed` is False when it was no copy before."""

    database: str
    changed: bool


def keep(database: str, settings: Settings) -> KeepReport:
    """Take pgkeeper's mark off a copy, so that it is backed up and missed as any other database.

    Raises OperationFailed when there is no such database, RefusedError when it is closed, and PgkeeperError when the server can't be
    reached. A closed database is never backed up, and `expire` drops one that a replacement put aside; that ends when its owner opens it,
    which pgkeeper leaves to them: a replacement may be at work on it just now.
    """
    with server(settings).connect_maintenance() as session, told(f"keeping {database}"):
        require_superuser(session)
        if not database_exists(session, database):
            raise OperationFailed(f"there is no database {database}", "", "`pgkeeper status` lists the copies")
        if database_is_closed(session, database):
            raise RefusedError(
                f"{database} is closed: it is not backed up as long as nobody may connect to it",
                "a replacement closes the database that it puts aside, and `pgkeeper expire` drops that when its time is over",
                f"open it with `{opening_command(session, database)}`, then run this again",
            )
        marked = database in list_copies(session)
        if marked:
            unmark_copy(session, database)
            log.info("copy kept as a database of its own", database=database)
    return KeepReport(database=database, changed=marked)
