"""`pg_amcheck`: tables and B-tree indexes of one database of a running cluster, page by page, as extension amcheck sees them.

It calls the extension's functions by name and with arguments that fit several types, as a superuser. So whoever can create a function in
the extension's schema could have it called in their place; the check is made only where nobody can who is not a superuser anyway.
"""

from pgkeeper.host.processes import Child, describe, in_memory
from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import Server, Session, told

NOT_INSTALLED = (
    "extension amcheck is not in it; a superuser's CREATE SCHEMA amcheck; CREATE EXTENSION amcheck SCHEMA amcheck lets its pages be checked"
)
_DAMAGED = 2
"""pg_amcheck's exit status when it found corruption (its source, pg_amcheck.c)."""
_ADVICE = "as a superuser: CREATE SCHEMA amcheck; ALTER EXTENSION amcheck SET SCHEMA amcheck"
# Since these amcheck runs what belongs to an index (CVE-2022-1552) as the owner of its table.
_RUNS_AS_OWNER = 140003
_EXTENSION = """
SELECT e.oid::bigint AS oid, n.oid::bigint AS schema_oid, n.nspname AS schema, pg_get_userbyid(e.extowner) AS owner, r.rolsuper AS owned,
       current_setting('server_version_num')::int AS version
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace JOIN pg_roles r ON r.oid = e.extowner WHERE e.extname = 'amcheck'
"""
# Who can become a superuser by SET ROLE has a superuser's rights already. pg_database_owner has no member but the database's owner, who is
# seen to have its privileges.
_CREATORS = """
WITH ordinary AS (
    SELECT r.oid, r.rolname FROM pg_roles r WHERE NOT r.rolsuper AND r.rolname <> 'pg_database_owner'
    AND NOT EXISTS (SELECT FROM pg_roles s WHERE s.rolsuper AND pg_has_role(r.oid, s.oid, {becomes}))
)
SELECT o.rolname AS name FROM ordinary o, pg_namespace n WHERE n.oid = %s
AND (has_schema_privilege(o.oid, n.oid, 'CREATE') OR pg_has_role(o.oid, n.nspowner, 'USAGE')) ORDER BY o.rolname LIMIT 1
"""
# Since 16 a membership may come without the right to become the role.
_BECOMES, _BECOMES_SINCE_16, _MEMBERSHIP_OPTIONS = "'MEMBER'", "'SET'", 160000
_FOREIGN = """
SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass
    AND d.refobjid = %(extension)s AND d.deptype = 'e'
WHERE d.objid IS NULL AND p.pronamespace = %(schema)s AND p.proname IN ('verify_heapam', 'bt_index_check', 'bt_index_parent_check')
OR d.objid IS NOT NULL AND NOT r.rolsuper ORDER BY 1 LIMIT 1
"""


def why_unsafe(session: Session) -> str | None:
    """Return why pg_amcheck must not be run in the session's database, "" where it may be, None where extension amcheck is not in it.

    What is said stays true as long as the session does, unless a superuser changes it: nobody else can rename or drop the database then.
    """
    found = session.execute(_EXTENSION).fetchone()
    if found is None:
        return None
    if found["version"] < _RUNS_AS_OWNER:
        return "this minor version of PostgreSQL runs the code of indexes with a superuser's rights (CVE-2022-1552; update it)"
    if not found["owned"]:
        return f"extension amcheck belongs to {found['owner']}, who is no superuser"
    becomes = _BECOMES_SINCE_16 if found["version"] >= _MEMBERSHIP_OPTIONS else _BECOMES
    creator = session.execute(_CREATORS.format(becomes=becomes), (found["schema_oid"],)).fetchone()
    if creator is not None:
        return (
            f"extension amcheck is in schema {found['schema']}, where {creator['name']} can create functions that would be called as a"
            f" superuser ({_ADVICE})"
        )
    foreign = session.execute(_FOREIGN, {"extension": found["oid"], "schema": found["schema_oid"]}).fetchone()
    return f"the function {foreign['name']} beside amcheck's is not a superuser's own of the extension ({_ADVICE})" if foreign else ""


def amcheck(server: Server, database: str, major: int, *, heap_all_indexed: bool = False) -> tuple[str, ...]:
    """Check a database and return what is damaged, as pg_amcheck says it.

    `heap_all_indexed` also looks whether each row is in each index, which takes as long as building them. Raises RefusedError where the
    check would be unsafe or the extension is missing, OperationFailed when it could not look, ConfigurationError (exit status 3) where that
    major's pg_amcheck is missing.
    """
    options = ["--no-password", *(["--heapallindexed"] if heap_all_indexed else [])]
    # The session stays, so that pg_amcheck comes into this database and no other that was given its name.
    with server.connect(database, major=major) as session:
        with told(f"looking at database {database}"):
            unsafe = why_unsafe(session)
        if unsafe != "":
            raise RefusedError(f"the pages of {database} were not checked", NOT_INSTALLED if unsafe is None else unsafe)
        checker = program("pg_amcheck", major)
        with (
            in_memory("stdout") as output,
            Child([checker, *options, server.target(database)], server.environment(major), stdout=output) as child,
        ):
            status = child.wait()
            if status not in (0, _DAMAGED):
                raise OperationFailed(f"pg_amcheck of database {database} failed", describe(child, status))
            output.seek(0)
            said = [line.strip() for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if status == _DAMAGED:
        return tuple(said) or ("pg_amcheck found damage",)
    return ()
