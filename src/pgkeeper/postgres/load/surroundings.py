"""What an owner's sessions have in the database besides its objects: the `search_path`, and settings that applications invent.

A dump is restored with an empty path, so a function that names another one without a schema fails where an index, a generated column or a
materialized view calls it. Then the statement is tried once more, with the path that its owner has in the database. Only objects of
that owner and of superusers may lie there: a name without a schema must lead to nobody else's code. What PostgreSQL has itself comes first.

A CHECK may ask for a setting like `app.tenant` that the database carries (`ALTER DATABASE … SET`). An owner's sessions get those that the
owner itself or a superuser has made. Names of extensions and languages are left out: such a setting may say which function is to be called.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.manifest import Manifest, Setting
from pgkeeper.postgres.server import Session
from pgkeeper.postgres.stored_settings import search_path

_NOT_FOUND = (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject)
# PostgreSQL's own and its languages': plperl, plv8, pgaudit.
_LIBRARIES = ("pl", "pg", "auto_explain")
_MOST_NAMED = 10
_OF_OTHERS = """
SELECT FROM (
    SELECT pronamespace AS schema, proowner AS owner FROM pg_proc UNION ALL SELECT oprnamespace, oprowner FROM pg_operator
    UNION ALL SELECT typnamespace, typowner FROM pg_type UNION ALL SELECT relnamespace, relowner FROM pg_class
) o JOIN pg_namespace n ON n.oid = o.schema JOIN pg_roles r ON r.oid = o.owner
WHERE n.nspname = ANY(%s) AND NOT r.rolsuper AND r.rolname <> %s LIMIT 1
"""


class Surroundings:
    """Knows path and settings of each role in the database that `manifest` describes. With `trusted` they may be anybody's."""

    def __init__(self, manifest: Manifest, *, trusted: bool) -> None:
        self._database = manifest.database.settings
        self._owner = manifest.database.owner
        self._roles = {role.name: role.settings for role in manifest.cluster.roles}
        self._superusers = {role.name for role in manifest.cluster.roles if role.superuser}
        self._extensions = {extension.name for extension in manifest.database.extensions}
        self._trusted = trusted
        self._needed_path: list[str] = []

    @property
    def warnings(self) -> list[str]:
        """What to tell the owner of objects that only their owner's path made possible: plain pg_restore makes none of these."""
        if not self._needed_path:
            return []
        names = "; ".join(self._needed_path[:_MOST_NAMED])
        more = f"; and {len(self._needed_path) - _MOST_NAMED} more" if len(self._needed_path) > _MOST_NAMED else ""
        warning = (
            f"found by the search_path of their owners alone, so psql and pg_restore would not make or fill these: {names}{more}"
            " (write schemas before the names in what they call, or let the functions SET search_path)"
        )
        return [warning]

    def give(self, session: Session, owner: str | None) -> None:
        """Let a session of `owner` (None for a superuser) have the settings that are meant for it; what the server refuses is left out."""
        if owner is None and not self._trusted:
            return
        settings: list[Setting] = []
        if self._trusted or self._owner in {owner, *self._superusers}:
            settings += (setting for setting in self._database if setting.role is None)
        if owner is not None:
            settings += (*self._roles.get(owner, ()), *(setting for setting in self._database if setting.role == owner))
        for setting in settings:
            library, dot, _ = setting.name.lower().partition(".")
            if dot and library not in self._extensions and not library.startswith(_LIBRARIES):
                with suppress(psycopg.errors.DatabaseError):
                    session.execute("SELECT pg_catalog.set_config(%s, %s, false)", (setting.name, setting.value))

    def _stored(self, owner: str | None) -> list[str]:
        """Return the path of sessions of `owner`, or of those who have no settings of their own."""
        known = owner if owner in self._roles else None
        return search_path(self._database, known, self._roles[known] if known is not None else ())

    def set_stored_path(self, session: Session, owner: str | None) -> None:
        """Set the path of a session to the one that `owner` has in the database. Raises psycopg.Error."""
        _set_path(session, self._stored(owner))

    def retry(self, session: Session, admin: Session, owner: str, work: Callable[[], object], what: str = "") -> None:
        """Do `work` in `session`, whose path is empty; when it finds no object of some name, once more with the path of `owner`.

        Then `what` it made is among the `warnings`. `work` must leave nothing where it fails. `session` acts as `owner`, or is a
        superuser's; for that everything in the path must be a superuser's. `admin` is a superuser's session in the same database. Raises
        what `work` raises.
        """
        try:
            work()
        except (OperationFailed, psycopg.Error) as error:
            cause = error if isinstance(error, psycopg.Error) else error.__cause__
            if not isinstance(cause, _NOT_FOUND) or not (path := self._harmless(admin, owner)):
                raise
            _set_path(session, path)
            try:
                work()
                self._needed_path += [what] if what else []
            finally:
                with suppress(psycopg.Error):
                    session.execute("SET search_path = ''")

    def _harmless(self, admin: Session, owner: str) -> list[str]:
        """Return the path of `owner` where nothing in it is anybody else's but superusers'; an empty one otherwise."""
        # Without its own schema in the path, PostgreSQL looks there first.
        path = [owner if name == "$user" else name for name in self._stored(owner) if name not in {"pg_catalog", "pg_temp", ""}]
        if not self._trusted and admin.execute(_OF_OTHERS, (path, owner)).fetchone() is not None:
            return []
        return path


def _set_path(session: Session, path: Iterable[str]) -> None:
    session.execute(sql.SQL("SET search_path = {}").format(sql.SQL(", ").join(map(sql.Literal, path))))
