"""Which tables a dump must hold, by the snapshot's own catalog, and which it leaves out although they hold rows."""

from pgkeeper.model.manifest import OmittedTable
from pgkeeper.postgres.server import ChangedMeanwhileError, Row, Session

# What pg_dump selects (its manual page and selectDumpableTable): ordinary tables outside system and temporary schemas; of an extension's
# own tables only those registered with pg_extension_config_dump; of unlogged tables a standby has nothing.
_TABLES = """
SELECT n.nspname AS schema_name, c.relname AS name, c.relkind AS kind, e.extname AS extension,
       coalesce(c.oid = ANY (e.extconfig), false) AS configuration,
       CASE WHEN e.oid IS NOT NULL THEN pg_relation_size(c.oid) > 0 END AS filled, rn.nspname AS root_schema, r.relname AS root_name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid)
LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
LEFT JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE c.relkind IN ('r', 'f') AND c.relpersistence <> 't' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


_MOST_NAMED = 5
_ENUM_LABELS = "SELECT oid::bigint AS oid, enumlabel AS label FROM pg_enum"
# The row is the snapshot's, the function sees the present.
_REWRITTEN = """
SELECT n.nspname || '.' || c.relname AS label FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relfilenode <> 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)
"""


def require_untouched(session: Session, tolerated: frozenset[str]) -> frozenset[str]:
    """Return which of the `tolerated` tables were truncated or rewritten since the session's snapshot.

    Neither is safe under MVCC: the snapshot then sees an empty table (PostgreSQL documentation, "Caveats" of Concurrency Control). To be
    asked once pg_dump holds its locks; from then on neither can happen. Raises ChangedMeanwhileError when others were, too.
    """
    touched = frozenset(row["label"] for row in session.execute(_REWRITTEN))
    if touched - tolerated:
        names = ", ".join(sorted(touched)[:_MOST_NAMED])
        error = ChangedMeanwhileError("tables were truncated or rewritten while the backup began", names, "try again when that is over")
        error.tables = touched
        raise error
    return touched


def require_same_labels(snapshot: Session, present: Session) -> None:
    """Raise ChangedMeanwhileError when an enum's label was renamed since the snapshot.

    pg_dump locks no types: it would write the type with its old label and rows with the new one, which then don't load.
    """
    now = {row["oid"]: row["label"] for row in present.execute(_ENUM_LABELS)}
    for row in snapshot.execute(_ENUM_LABELS):
        if now.get(row["oid"], row["label"]) != row["label"]:
            raise ChangedMeanwhileError(f"the enum label {row['label']} was renamed while the backup was made", "", "try again")


# PostgreSQL's dump leaves its own schemas out, whatever users have put there.
_IN_SYSTEM_SCHEMAS = """
SELECT n.nspname || '.' || o.name AS label FROM (
    SELECT oid, relnamespace AS namespace, relname AS name, 'pg_class'::regclass AS class FROM pg_class WHERE relkind NOT IN ('i', 't', 'c')
    UNION ALL SELECT oid, pronamespace, proname, 'pg_proc'::regclass FROM pg_proc
    UNION ALL SELECT oid, typnamespace, typname, 'pg_type'::regclass FROM pg_type WHERE typrelid = 0 AND typelem = 0
) o JOIN pg_namespace n ON n.oid = o.namespace
WHERE o.oid >= 16384 AND n.nspname IN ('pg_catalog', 'information_schema')
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e') ORDER BY 1
"""


def in_system_schemas(session: Session) -> list[str]:
    """Return a remark for each object of a user's that lies where PostgreSQL's dump never looks."""
    return [
        f"{row['label']} is not in the backup: it lies in a system schema, which PostgreSQL's dump leaves out"
        for row in session.execute(_IN_SYSTEM_SCHEMAS)
    ]


class ExpectedTables:
    """The snapshot's list of tables: what must be in the dump, and what holds rows but is not (`omitted`)."""

    def __init__(self, session: Session) -> None:
        """Read the list within the session's transaction."""
        rows = session.execute(_TABLES).fetchall()
        # pg_dump loads partitions through their root where rows may belong elsewhere after a restore (hash partitions of an enum).
        self._names: dict[tuple[str, str], tuple[str, str]] = {
            (row["schema_name"], row["name"]): (row["root_schema"], row["root_name"])
            for row in rows
            if row["kind"] == "r" and (row["extension"] is None or row["configuration"])
        }
        self.omitted = tuple(
            OmittedTable(schema_name=row["schema_name"], name=row["name"], reason=reason)
            for row in sorted(rows, key=lambda row: (row["schema_name"], row["name"]))
            if (reason := _omission(row))
        )

    def mismatch(self, found: set[tuple[str, str]]) -> str:
        """Return how the tables found in a dump differ from the snapshot's, nothing when they agree."""
        missing = sorted(".".join(name) for name, root in self._names.items() if name not in found and root not in found)
        foreign = sorted(".".join(name) for name in found - set(self._names) - set(self._names.values()))
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        return "; ".join([*parts, *([f"unexpected: {', '.join(foreign)}"] if foreign else [])])


def _omission(row: Row) -> str:
    """Return why a table's rows are not in the dump; nothing when they are, or there are none.

    Rows are not looked for with a query: a superuser who reads a user's table by its name may be made to run a view put in its place.
    """
    if row["kind"] == "f":
        return "foreign table: its rows live on another server"
    if row["extension"] is None or row["configuration"] or not row["filled"]:
        return ""
    return f"belongs to extension {row['extension']}, which does not mark it for dumping"
