"""Settings that roles and databases carry (`ALTER ROLE/DATABASE … SET`), given back as they were.

Catalogs store a few list settings already quoted (`"$user", public`); given back as one string they would become one odd name. PostgreSQL
marks them GUC_LIST_QUOTE, and pg_dump knows the same list (variable_is_guc_list_quote).
"""

import re
from collections.abc import Iterable

from psycopg import Error, sql

from pgkeeper.model.manifest import Setting
from pgkeeper.postgres.server import Session

_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"]*))\s*(?:,|$)')


def setting_value(setting: Setting) -> sql.Composable:
    """Return the value as SQL: one literal, or for a list setting its elements, each a literal."""
    if setting.name.lower() not in _LISTS:
        return sql.Literal(setting.value)
    return sql.SQL(", ").join(sql.Literal(element) for element in split_list(setting.value))


def try_setting(session: Session, setting: Setting, statement: sql.Composed) -> list[str]:
    """Run a statement that stores `setting`, inside a transaction; one this server does not take is a warning, not a failure."""
    try:
        with session.transaction():
            session.execute(statement)
    except Error as error:
        return [f"the setting {setting.name} was not applied: {error.diag.message_primary}"]
    return []


def search_path(database: Iterable[Setting], role: str | None = None, of_role: Iterable[Setting] = ()) -> list[str]:
    """Return the search_path that sessions in a database have, PostgreSQL's default where nobody set one.

    `database` are the settings of the database, for everyone or for roles in it; `of_role` those of the role `role` in every database
    (documentation of ALTER ROLE: what is set for a role in a database wins over the role's own, and that over the database's).
    """
    stored = [setting for setting in database if setting.name == "search_path"]
    in_order = (
        [setting.value for setting in stored if role is not None and setting.role == role],
        [setting.value for setting in of_role if setting.name == "search_path"],
        [setting.value for setting in stored if setting.role is None],
    )
    chosen = next((values[0] for values in in_order if values), None)
    return ["$user", "public"] if chosen is None else split_list(chosen)


def split_list(value: str) -> list[str]:
    """Return the elements of a quoted list as catalogs store it; one empty element for an empty list."""
    elements = []
    position = 0
    while position < len(value) and (found := _ELEMENT.match(value, position)):
        quoted, plain = found.groups()
        elements.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        position = found.end()
    return elements or [""]
