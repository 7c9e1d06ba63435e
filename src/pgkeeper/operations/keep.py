"""Keep a copy that pgkeeper made as a database of its owner's own, under the name it has."""

from pgkeeper.host.logs import log
from pgkeeper.model.errors import OperationFailed
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.copy_mark import list_copies, unmark_copy
from pgkeeper.postgres.new_database import database_exists
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings


class KeepReport(Message):
    """Which database is its owner's own; `changed` is False when it was no copy before."""

    database: str
    changed: bool


def keep(database: str, settings: Settings) -> KeepReport:
    """Take pgkeeper's mark off a copy, so that it is backed up and missed as any other database.

    Raises OperationFailed when there is no such database, and PgkeeperError when the server can't be reached.
    """
    with server(settings).connect_maintenance() as session, told(f"keeping {database}"):
        require_superuser(session)
        if not database_exists(session, database):
            raise OperationFailed(f"there is no database {database}", "", "`pgkeeper status` lists the copies")
        marked = database in list_copies(session)
        if marked:
            unmark_copy(session, database)
            log.info("copy kept as a database of its own", database=database)
    return KeepReport(database=database, changed=marked)
