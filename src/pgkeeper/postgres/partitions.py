"""Partitions, and the one trouble that a dump has with them: where a row belongs may be another one after a restore.

Bounds of a range partition over text are compared by a collation, and versions of the C library or of ICU sort differently. A row then
belongs to another partition than the one it was dumped from, and loading that one fails (documentation of pg_dump,
`--load-via-partition-root`). Loaded through the root of its tree every row finds its place. Equality, which lists and hashes go by, is that
of the bytes except under a nondeterministic collation.
"""

from dataclasses import dataclass

from pgkeeper.postgres.server import Session

# Sorted alike everywhere is what PostgreSQL itself keeps no version of (get_collation_actual_version).
_MOVING = """
SELECT n.nspname || '.' || c.relname AS label FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'p' AND NOT c.relispartition AND EXISTS (
    SELECT FROM pg_partition_tree(c.oid) t JOIN pg_partitioned_table p ON p.partrelid = t.relid, unnest(p.partcollation) AS used(id)
    JOIN pg_collation l ON l.oid = used.id CROSS JOIN pg_database d
    WHERE d.datname = current_database() AND (p.partstrat = 'r' OR NOT l.collisdeterministic)
    AND CASE l.collprovider WHEN 'd' THEN to_jsonb(d)->>'datlocprovider' = 'i'
                                 OR (coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c' AND NOT d.datcollate ~* '^(C|POSIX)(\\.|$)')
             WHEN 'c' THEN NOT l.collcollate ~* '^(C|POSIX)(\\.|$)' ELSE l.collprovider = 'i' END
) ORDER BY 1
"""
_NOT_THROUGH_ROOT = """
SELECT FROM pg_class c, pg_partition_tree(c.oid) t JOIN pg_class m ON m.oid = t.relid
WHERE c.relkind = 'p' AND NOT c.relispartition AND (m.relowner <> c.relowner OR m.relkind = 'f') LIMIT 1
"""
_PARTITIONS = """
SELECT n.nspname AS schema_name, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition
"""
_MOST_NAMED = 5


@dataclass(frozen=True)
class MovingRows:
    """How a database with partitions is dumped: `through_roots` where rows may move between them; `warnings` says where they may not."""

    through_roots: bool
    warnings: tuple[str, ...]


def moving_rows(session: Session) -> MovingRows:
    """Look whether rows of the session's database may belong to other partitions elsewhere, and what to do about it.

    No row goes through a root whose partitions have other owners: the root's would run what their constraints call. Nor does one where
    partitions lie on another server, which a restore must not write to.
    """
    tables = [row["label"] for row in session.execute(_MOVING)]
    if not tables:
        return MovingRows(through_roots=False, warnings=())
    if session.execute(_NOT_THROUGH_ROOT).fetchone() is None:
        return MovingRows(through_roots=True, warnings=())
    warning = (
        f"{', '.join(tables[:_MOST_NAMED])}: rows may belong to other partitions where the operating system sorts text in another way, and"
        " would not load there: the database has partitions of another owner than their root's, or on another server"
    )
    return MovingRows(through_roots=False, warnings=(warning,))


def partitions(session: Session) -> set[tuple[str, str]]:
    """Return schema and name of each partition of the session's database."""
    return {(row["schema_name"], row["name"]) for row in session.execute(_PARTITIONS)}
