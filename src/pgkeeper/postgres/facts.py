"""What PostgreSQL's catalogs say about a cluster, its roles and its databases, as the manifest's types.

Whole catalog rows are taken as JSON, so that columns that only some versions have need no version switch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from pgkeeper.model.errors import ConfigurationError, OperationFailed
from pgkeeper.model.manifest import (
    ClusterFacts,
    DatabaseFacts,
    Extension,
    Membership,
    Privilege,
    Role,
    Setting,
    Tablespace,
)
from pgkeeper.postgres.copy_mark import COPY_MARK, list_copies
from pgkeeper.postgres.server import Session

_OLDEST = 140000
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}

_CLUSTER = """
SELECT current_setting('server_version') AS server_version, current_setting('server_version_num')::int AS server_version_num,
       current_setting('cluster_name') AS cluster_name, current_setting('data_directory') AS data_directory,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier, pg_is_in_recovery() AS standby,
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline
"""
_LSN = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn"
# What a restore has made that is at work: databases, and roles that have nothing outside of them. By its name alone anything could be that
# which was made by somebody who may create it; and what another role owns, or was granted, could not be restored without it.
_OURS = """
WITH being_built AS (
    SELECT d.oid FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname ~ '^pgkeeper_partial_[0-9a-f]{8}$' AND r.rolsuper
), passing AS (
    SELECT a.oid FROM pg_roles a WHERE a.rolname ~ '^pgkeeper_loader_[0-9a-f]{8}$' AND NOT a.rolsuper AND NOT EXISTS (
        SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = a.oid
        AND CASE WHEN d.dbid <> 0 THEN d.dbid WHEN d.classid = 'pg_database'::regclass THEN d.objid ELSE 0 END
            NOT IN (SELECT oid FROM being_built))
)
"""
_PASSING = "SELECT a.rolname AS name FROM pg_roles a JOIN passing USING (oid) ORDER BY 1"
_ROLES = """
SELECT to_jsonb(a) AS role, shobj_description(a.oid, 'pg_authid') AS comment, a.rolvaliduntil::text AS valid_until,
       (SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setrole = a.oid AND s.setdatabase = 0) AS settings
FROM pg_authid a WHERE a.rolname !~ '^pg_' AND a.oid NOT IN (SELECT oid FROM passing) ORDER BY a.rolname
"""
_MEMBERSHIPS = """
SELECT to_jsonb(m) AS membership, r.rolname AS role, u.rolname AS member, g.rolname AS grantor
FROM pg_auth_members m JOIN pg_authid r ON r.oid = m.roleid JOIN pg_authid u ON u.oid = m.member JOIN pg_authid g ON g.oid = m.grantor
WHERE u.rolname !~ '^pg_' AND u.oid NOT IN (SELECT oid FROM passing) ORDER BY r.rolname, u.rolname, g.rolname
"""
_TABLESPACES = """
SELECT spcname AS name, pg_get_userbyid(spcowner) AS owner, pg_tablespace_location(oid) AS location
FROM pg_tablespace WHERE spcname !~ '^pg_' ORDER BY spcname
"""
_DATABASE = """
SELECT to_jsonb(d) AS database, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding, t.spcname AS tablespace,
       shobj_description(d.oid, 'pg_database') AS comment, pg_database_size(d.oid) AS size
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = %s
"""
_INSIDE = """
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public') AS has_public_schema,
       ARRAY(SELECT DISTINCT reltablespace::bigint FROM pg_class WHERE reltablespace <> 0) AS tablespaces
"""
_DATABASE_SETTINGS = """
SELECT s.setconfig AS settings, CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END AS role
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = %s ORDER BY s.setrole
"""
_DATABASE_PRIVILEGES = """
SELECT pg_get_userbyid(a.grantor) AS grantor, CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END AS grantee,
       a.privilege_type AS privilege, a.is_grantable AS grantable
FROM pg_database d, aclexplode(d.datacl) WITH ORDINALITY a (grantor, grantee, privilege_type, is_grantable, number)
WHERE d.datname = %s ORDER BY a.number
"""
_DATABASES = """
SELECT datname FROM pg_database
WHERE datallowconn AND datconnlimit <> -2 AND datname NOT IN ('template0', 'template1') AND oid NOT IN (SELECT oid FROM being_built)
ORDER BY datname
"""
_EXTENSIONS = """
SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema_name
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY e.extname
"""


def _one(session: Session, query: str) -> dict[str, Any]:
    row = session.execute(query).fetchone()
    assert row is not None
    return row


def _settings(role: str | None, config: Iterable[str] | None) -> tuple[Setting, ...]:
    pairs = (item.partition("=") for item in config or ())
    return tuple(Setting(role=role, name=name, value=value) for name, _, value in pairs)


@dataclass(frozen=True)
class ClusterIdentity:
    """Which PostgreSQL instance this is.

    `label` is its name among its host's: `cluster_name` (Debian sets `15/main`), else version and the data directory's name.
    """

    label: str
    system_identifier: str
    server_version: str
    server_version_num: int
    timeline: int
    standby: bool
    data_directory: str

    @property
    def major(self) -> int:
        """Return PostgreSQL's major version."""
        return self.server_version_num // 10000


def identify(session: Session) -> ClusterIdentity:
    """Return which cluster a superuser's session is connected to. Raises ConfigurationError for versions that are too old."""
    row = _one(session, _CLUSTER)
    if row["server_version_num"] < _OLDEST:
        raise ConfigurationError(f"PostgreSQL {row['server_version']} is too old", "pgkeeper needs 14 or newer")
    label = row.pop("cluster_name").replace("/", "-")
    directory = row["data_directory"].rstrip("/").rpartition("/")[2]
    return ClusterIdentity(label=label or f"{row['server_version_num'] // 10000}-{directory}", **row)


def read_cluster(session: Session, host: str) -> ClusterFacts:
    """Return the facts of the cluster a superuser's session is connected to, on the host called `host`."""
    cluster = identify(session)
    return ClusterFacts(
        host=host,
        label=cluster.label,
        system_identifier=cluster.system_identifier,
        server_version=cluster.server_version,
        server_version_num=cluster.server_version_num,
        timeline=cluster.timeline,
        lsn=_one(session, _LSN)["lsn"],
        roles=tuple(_role(role) for role in session.execute(_OURS + _ROLES)),
        memberships=tuple(_membership(row) for row in session.execute(_OURS + _MEMBERSHIPS)),
        tablespaces=tuple(Tablespace(**row) for row in session.execute(_TABLESPACES)),
    )


def _role(row: dict[str, Any]) -> Role:
    role = row["role"]
    return Role(
        name=role["rolname"],
        superuser=role["rolsuper"],
        inherit=role["rolinherit"],
        create_role=role["rolcreaterole"],
        create_database=role["rolcreatedb"],
        login=role["rolcanlogin"],
        replication=role["rolreplication"],
        bypass_rls=role["rolbypassrls"],
        connection_limit=role["rolconnlimit"],
        password=role["rolpassword"],
        valid_until=row["valid_until"],
        comment=row["comment"],
        settings=_settings(None, row["settings"]),
    )


def _membership(row: dict[str, Any]) -> Membership:
    raw = row["membership"]
    return Membership(
        role=row["role"],
        member=row["member"],
        grantor=row["grantor"],
        admin=raw["admin_option"],
        inherit=raw.get("inherit_option"),
        set=raw.get("set_option"),
    )


def read_database(maintenance: Session, session: Session, name: str) -> DatabaseFacts:
    """Return the facts of database `name`: what the cluster knows of it by `maintenance`, what is in it by `session`.

    Shared catalogs hold names in the encoding of whoever wrote them, so they are read in the maintenance database (UTF-8 as a rule),
    not in a database whose own encoding would garble them.
    """
    row = maintenance.execute(_DATABASE, (name,)).fetchone()
    if row is None:
        raise OperationFailed(f"database {name} is gone", "it was dropped or renamed just now")
    raw = row["database"]
    inside = _one(session, _INSIDE)
    settings = [
        setting
        for found in maintenance.execute(_DATABASE_SETTINGS, (name,))
        for setting in _settings(found["role"], found["settings"])
        if setting.name != COPY_MARK
    ]
    privileges = None
    if raw["datacl"] is not None:
        privileges = tuple(Privilege(**found) for found in maintenance.execute(_DATABASE_PRIVILEGES, (name,)))
    used = maintenance.execute(
        "SELECT spcname AS name FROM pg_tablespace WHERE oid = ANY (%s) AND spcname <> 'pg_global' ORDER BY 1", (inside["tablespaces"],)
    )
    return DatabaseFacts(
        name=name,
        owner=row["owner"],
        encoding=row["encoding"],
        locale_provider=cast("Any", _PROVIDERS[raw.get("datlocprovider", "c")]),
        lc_collate=raw["datcollate"],
        lc_ctype=raw["datctype"],
        locale=raw.get("datlocale", raw.get("daticulocale")),
        icu_rules=raw.get("daticurules"),
        collation_version=raw.get("datcollversion"),
        tablespace=row["tablespace"],
        connection_limit=raw["datconnlimit"],
        is_template=raw["datistemplate"],
        comment=row["comment"],
        settings=tuple(settings),
        privileges=privileges,
        extensions=tuple(Extension(**found) for found in session.execute(_EXTENSIONS)),
        has_public_schema=inside["has_public_schema"],
        size_bytes=row["size"],
        tablespaces_used=tuple(found["name"] for found in used),
    )


def databases_to_back_up(session: Session) -> tuple[str, ...]:
    """Return the databases that `all` means: those of `list_databases` that are not copies of pgkeeper's."""
    copies = set(list_copies(session))
    return tuple(name for name in list_databases(session) if name not in copies)


def list_databases(session: Session) -> tuple[str, ...]:
    """Return the databases that hold somebody's data: all that take connections, but PostgreSQL's own templates and what is being built.

    One whose DROP DATABASE was interrupted (its limit of connections is -2) holds nothing any more: all that is left is to drop it.
    What is being built is a superuser's: an ordinary role that gives its database such a name has it backed up as any other.
    """
    return tuple(row["datname"] for row in session.execute(_OURS + _DATABASES))


def passing_roles(session: Session) -> tuple[str, ...]:
    """Return the roles that restores made to log in for a database being built; of killed ones they are left behind.

    What is only called so, and has something that stays, is somebody's own.
    """
    return tuple(row["name"] for row in session.execute(_OURS + _PASSING))


def database_statistics(session: Session) -> tuple[int, int, int]:
    """Return size in bytes, number of tables and PostgreSQL's estimate of their rows, of the session's database."""
    row = _one(
        session,
        "SELECT pg_database_size(current_database()) AS size, count(*)::int AS tables,"
        " coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint AS rows FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'",
    )
    return row["size"], row["tables"], row["rows"]


def database_size(session: Session, name: str) -> int | None:
    """Return a database's size in bytes, None when there is none of that name."""
    row = session.execute("SELECT pg_database_size(oid) AS size FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return row["size"] if row else None


def other_versions(session: Session, extensions: Iterable[Extension]) -> list[str]:
    """Return a remark for each extension whose version in the session's database is not the one in `extensions`."""
    here = {row["name"]: row["version"] for row in session.execute(_EXTENSIONS)}
    return [
        f"extension {extension.name} is {here[extension.name]} here, the backup had {extension.version}"
        for extension in extensions
        if here.get(extension.name, extension.version) != extension.version
    ]


def subscriptions(session: Session) -> list[str]:
    """Return the names of the subscriptions in the session's database."""
    query = "SELECT subname AS name FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    return [row["name"] for row in session.execute(query)]
