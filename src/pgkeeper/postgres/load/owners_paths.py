"""The `search_path` that an owner's functions had in the original, for those that name other functions without a schema.

A dump is restored with an empty path, so such a function fails where an index, a generated column or a materialized view calls it. Then the
statement is tried once more, with the path that its owner has in the database. Only objects of that owner and of superusers may
lie there: a name without a schema must lead to nobody else's code. What PostgreSQL has itself comes first in any case.
"""

from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.manifest import Manifest
from pgkeeper.postgres.server import Session
from pgkeeper.postgres.stored_settings import search_path

_NOT_FOUND = (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject)
_OF_OTHERS = """
SELECT FROM (
    SELECT pronamespace AS schema, proowner AS owner FROM pg_proc UNION ALL SELECT oprnamespace, oprowner FROM pg_operator
    UNION ALL SELECT typnamespace, typowner FROM pg_type UNION ALL SELECT relnamespace, relowner FROM pg_class
) o JOIN pg_namespace n ON n.oid = o.schema JOIN pg_roles r ON r.oid = o.owner
WHERE n.nspname = ANY(%s) AND NOT r.rolsuper AND r.rolname <> %s LIMIT 1
"""


class OwnersPaths:
    """Knows the path of each role in the database that `manifest` describes. With `trusted` everybody's objects may lie there."""

    def __init__(self, manifest: Manifest, *, trusted: bool) -> None:
        self._database = manifest.database.settings
        self._roles = {role.name: role.settings for role in manifest.cluster.roles}
        self._trusted = trusted

    def stored(self, owner: str | None) -> list[str]:
        """Return the path of sessions of `owner`, or of those who have no settings of their own."""
        known = owner if owner in self._roles else None
        return search_path(self._database, known, self._roles[known] if known is not None else ())

    def retry(self, session: Session, admin: Session, owner: str, work: Callable[[], object]) -> None:
        """Do `work` in `session`, whose path is empty; when it finds no object of some name, once more with the path of `owner`.

        `work` must leave nothing where it fails. `session` acts as `owner`, or is a superuser's; for that everything in the path must be a
        superuser's. `admin` is a superuser's session in the same database. Raises what `work` raises.
        """
        try:
            work()
        except (OperationFailed, psycopg.Error) as error:
            cause = error if isinstance(error, psycopg.Error) else error.__cause__
            if not isinstance(cause, _NOT_FOUND) or not (path := self._harmless(admin, owner)):
                raise
            session.execute(sql.SQL("SET search_path = {}").format(sql.SQL(", ").join(map(sql.Literal, path))))
            try:
                work()
            finally:
                with suppress(psycopg.Error):
                    session.execute("SET search_path = ''")

    def _harmless(self, admin: Session, owner: str) -> list[str]:
        """Return the path of `owner` where nothing in it is anybody else's but superusers'; an empty one otherwise."""
        # Without its own schema in the path, PostgreSQL looks there first.
        path = [owner if name == "$user" else name for name in self.stored(owner) if name not in {"pg_catalog", "pg_temp", ""}]
        if not self._trusted and admin.execute(_OF_OTHERS, (path, owner)).fetchone() is not None:
            return []
        return path
