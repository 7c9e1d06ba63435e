"""Code that runs when a query on a table is merely planned, and the one place where PostgreSQL's dump plans such queries.

Planning computes what it can of expressions in indexes and extended statistics, as whoever asks. `pg_dump` copies tables without a query,
except what extensions register with a filter (pg_extension_config_dump): `COPY (SELECT … WHERE …)`. A table like that is a superuser's, as
the extension's script made it, until somebody gives it away (PostGIS's `spatial_ref_sys` to the application, say).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from pgkeeper.model.errors import RefusedError
from pgkeeper.postgres.server import Server, Session, told

# Nothing depends on PostgreSQL's own objects in pg_depend.
RUNS_CODE = """
WITH runs_code AS (
    SELECT i.indrelid AS oid FROM pg_index i JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
    WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
    AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
    UNION SELECT s.stxrelid FROM pg_statistic_ext s JOIN pg_depend d ON d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid
    WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
)
"""
"""Begins a query: `runs_code` are the tables with functions, operators or types of somebody's own in such expressions."""
_FILTERED = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, r.rolname AS owner, e.extname AS extension,
       c.oid IN (SELECT oid FROM runs_code) AS runs_code
FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS f (relation, condition)
JOIN pg_class c ON c.oid = f.relation JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relkind = 'r' AND f.condition <> '' AND NOT r.rolsuper
"""
_LOCKED = "SELECT relation::bigint AS oid FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode LIKE 'ShareUpdate%'"


@contextmanager
def filters_run_no_code(server: Server, database: str, lock_timeout_seconds: int) -> Iterator[None]:
    """See to it, until the block ends, that the filters of a dump run no code of an ordinary role as the superuser who dumps.

    Tables in question, as a rule none, are locked against new indexes and statistics meanwhile. Raises RefusedError (exit status 6) with
    the table where there is such code, LockTimeoutError when a table stays locked.
    """
    with server.connect(database) as session:
        with told(f"looking at tables of extensions in {database}"):
            _require_no_code(session, database, lock_timeout_seconds)
        yield


def _require_no_code(session: Session, database: str, lock_timeout_seconds: int) -> None:
    tables = session.execute(RUNS_CODE + _FILTERED).fetchall()
    if not tables:
        session.close()
        return
    session.execute(f"SET lock_timeout = '{int(lock_timeout_seconds)}s'")
    session.execute("BEGIN")
    _lock(session, [sql.Identifier(table["schema"], table["name"]) for table in tables])
    # Once more, now that nobody can add anything; and whether what was locked by name is what is meant.
    locked = {row["oid"] for row in session.execute(_LOCKED)}
    for table in session.execute(RUNS_CODE + _FILTERED).fetchall():
        if table["runs_code"] or (locked and table["oid"] not in locked):
            name = f"{table['schema']}.{table['name']}"
            raise RefusedError(
                f"{name} in database {database} cannot be dumped safely",
                f"extension {table['extension']} has it dumped by a query, which would run code of {table['owner']} as a superuser",
                f"drop its indexes and statistics with expressions, or ALTER TABLE {name} OWNER TO a superuser",
            )


def _lock(session: Session, tables: list[sql.Identifier]) -> None:
    """Keep others from adding indexes and statistics. A standby takes no such lock, and its tables change only with the primary's."""
    row = session.execute("SELECT pg_is_in_recovery() AS standby").fetchone()
    if row is not None and not row["standby"]:
        for table in tables:
            session.execute(sql.SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE").format(table))
