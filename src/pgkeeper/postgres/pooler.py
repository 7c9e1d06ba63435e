"""Telling PostgreSQL itself from a connection pooler before it, such as PgBouncer.

A pooler lends each client one of its own sessions. Settings given at connection time are refused or ignored, locks and snapshots may end up
with somebody else, and programs of PostgreSQL write other bytes than they should: a good database would look damaged.
"""

import re
from typing import Any

import psycopg

from pgkeeper.model.errors import ConfigurationError

_SETTING = re.compile(r"-c ([^=\s]+)=((?:\\.|[^\s\\])*)")
_ESCAPED = re.compile(r"\\(.)")
# Names without a schema would be looked for where anybody's things may lie: an extension's scripts get PostgreSQL's usual path.
_SHOWN = """
SELECT pg_catalog.pg_backend_pid() AS pid,
       ARRAY(SELECT pg_catalog.current_setting(name) FROM pg_catalog.unnest(%s::pg_catalog.text[]) WITH ORDINALITY s (name, number)
             ORDER BY number USING OPERATOR(pg_catalog.<)) AS shown
"""
# PgBouncer's words when it starts a session; PostgreSQL has none like these.
_REFUSALS = ("unsupported startup parameter", "no such database: ", "pgbouncer cannot connect to server", "server login has been failing")


def require_server(session: psycopg.Connection[dict[str, Any]], options: str, where: str) -> None:
    """Check that a new session is one of the server's own, and that the settings in its `options` (of libpq) hold.

    Raises ConfigurationError (exit status 3) naming what differs; `where` says how it was reached.
    """
    asked = settings_in(options)
    row = session.execute(_SHOWN, (list(asked),)).fetchone()
    assert row is not None
    if row["pid"] != session.info.backend_pid:
        raise behind_pooler(where, "the server process that works for a session is not the one that was connected to")
    lost = [name for (name, value), shown in zip(asked.items(), row["shown"], strict=True) if not _is_shown(value, shown)]
    if lost:
        raise behind_pooler(where, f"settings given at connection time do not hold: {', '.join(lost)}")


def is_refusal(words: str) -> bool:
    """Tell whether a pooler says why it lets nobody in, rather than PostgreSQL."""
    return any(sign in words for sign in _REFUSALS)


def behind_pooler(where: str, why: str) -> ConfigurationError:
    """Return what to tell the owner when a pooler answers."""
    hint = "set PGHOST and PGPORT to PostgreSQL itself (as a rule its socket directory and port 5432), not to the pooler"
    return ConfigurationError(f"what answers at {where} is a connection pooler (PgBouncer, for example), not PostgreSQL", why, hint)


def settings_in(options: str) -> dict[str, str]:
    """Return the settings that libpq's `options` give to a session; the last one of a name counts."""
    return {name: _ESCAPED.sub(r"\1", value) for name, value in _SETTING.findall(options)}


def _is_shown(value: str, shown: str) -> bool:
    """Tell whether a setting is shown as what it was set to; DateStyle also shows the order of day and month, which is not ours to set."""
    return shown == value or shown.startswith(f"{value}, ")
