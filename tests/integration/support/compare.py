"""An independent answer to "is this database the same as that one?", which uses nothing of the product."""

from __future__ import annotations

import difflib
import re
import subprocess

from .cluster import PINNED_OPTIONS, Cluster, dbname
from .user import SERVICE_USER

COPY_START = re.compile(rb"^COPY .* FROM stdin;$")

# The rows of every catalog that pg_dump doesn't write with the database itself.
DATABASE_FACTS = """
select json_build_object(
    'owner', pg_get_userbyid(datdba),
    'encoding', pg_encoding_to_char(encoding),
    'locale', json_build_array(d.datcollate, d.datctype, {provider}),
    'limit', datconnlimit,
    'tablespace', spcname,
    'privileges', (
        select json_agg(json_build_array(
            case grantor when 0 then '' else pg_get_userbyid(grantor) end,
            case grantee when 0 then 'public' else pg_get_userbyid(grantee) end, privilege_type, is_grantable
        ) order by grantee, privilege_type, grantor)
        from aclexplode(coalesce(datacl, acldefault('d', datdba)))
    ),
    'comment', shobj_description(d.oid, 'pg_database'),
    'settings', (
        select json_object_agg(
            case setrole when 0 then '' else pg_get_userbyid(setrole) end,
            (select array_agg(s order by s) from unnest(setconfig) s where not starts_with(s, 'pgkeeper.copy=')) order by setrole
        )
        from pg_db_role_setting where setdatabase = d.oid and not starts_with(setconfig[1], 'pgkeeper.copy=')
    )
)::text
from pg_database d join pg_tablespace t on t.oid = dattablespace where datname = %s
"""


def dump(cluster: Cluster, database: str, *options: str) -> bytes:
    """What pg_dump says of a database, in a session that no setting of the database bends."""
    encoding = cluster.query("select pg_encoding_to_char(encoding) from pg_database where datname = %s", database)
    done = subprocess.run(
        [cluster.binaries / "pg_dump", "--encoding", str(encoding[0][0]), *options, "-d", dbname(database)],
        user=SERVICE_USER,
        group=SERVICE_USER,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PGOPTIONS": PINNED_OPTIONS, "PGAPPNAME": "test-bed", **cluster.environment()},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def contents(cluster: Cluster, database: str) -> list[bytes]:
    """A database as the lines of its dump, and each table's rows in sorted order, for a table has no order of its own.

    Rows that pg_dump loads through a partitioned table are taken together: which partition they lie in may depend on
    OIDs, which no restored database can keep.
    """
    lines: list[bytes] = []
    tables: dict[bytes, list[bytes]] = {}
    rows: list[bytes] | None = None
    for line in dump(cluster, database).split(b"\n"):
        if rows is None:
            if line.startswith((b"\\restrict ", b"\\unrestrict ")):
                continue
            lines.append(line)
            if COPY_START.match(line):
                rows = tables.setdefault(line, [])
        elif line == b"\\.":
            rows = None
        else:
            rows.append(line)
    for header, table_rows in sorted(tables.items()):
        lines += [header, *sorted(table_rows)]
    return lines


def database_facts(cluster: Cluster, database: str) -> object:
    """What belongs to a database but stands outside it: owner, locale, limit, privileges, comment, settings."""
    return cluster.query(_database_facts_query(cluster), database)[0][0]


def assert_same_database(cluster: Cluster, original: str, restored: str) -> None:
    """Fail with a readable difference unless both hold the same, and are owned, set and described the same."""
    assert_same_contents(cluster, original, restored)
    assert database_facts(cluster, restored) == database_facts(cluster, original)


def assert_same_contents(cluster: Cluster, original: str, restored: str) -> None:
    """Fail with a readable difference unless the two dumps agree."""
    expected, actual = contents(cluster, original), contents(cluster, restored)
    if expected != actual:
        difference = difflib.unified_diff(
            [line[:200].decode(errors="replace") for line in expected],
            [line[:200].decode(errors="replace") for line in actual],
            original,
            restored,
            lineterm="",
            n=1,
        )
        raise AssertionError("\n".join(list(difference)[:60]) or "they differ beyond the first 200 bytes of a line")


def _database_facts_query(cluster: Cluster) -> str:
    columns = {str(name) for (name,) in cluster.query("select attname from pg_attribute where attrelid = 'pg_database'::regclass")}
    known = [name for name in ("datlocprovider", "daticulocale", "datlocale", "daticurules") if name in columns]
    return DATABASE_FACTS.replace("{provider}", ", ".join(known) or "null")
