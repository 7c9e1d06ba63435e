"""Roles from a manifest, as data: planned first, then created or changed one by one."""

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from pgkeeper.model.errors import RefusedError
from pgkeeper.model.manifest import ClusterFacts, Membership, Role
from pgkeeper.postgres.server import Session, unlogged
from pgkeeper.postgres.stored_settings import setting_value, try_setting

GlobalsMode = Literal["missing", "all", "none"]
"""Which roles of a backup come back with a database: those that are missing, all (existing ones become as they were), or none."""


@dataclass(frozen=True)
class RolePlan:
    """Which roles of a backup would be created here, and which existing ones changed."""

    missing: tuple[Role, ...]
    changed: tuple[Role, ...]


def plan_roles(session: Session, cluster: ClusterFacts, mode: GlobalsMode) -> RolePlan:
    """Return what `apply_roles` would do. The role we are ourselves is never changed: it could lock itself out."""
    existing = {row["name"] for row in session.execute("SELECT rolname AS name FROM pg_roles")}
    missing = tuple(role for role in cluster.roles if role.name not in existing)
    others = tuple(role for role in cluster.roles if role.name in existing and role.name != session.info.user)
    return RolePlan(missing if mode != "none" else (), others if mode == "all" else ())


def apply_roles(session: Session, cluster: ClusterFacts, mode: GlobalsMode, warnings: list[str]) -> tuple[str, ...]:
    """Bring the roles of `cluster` back with attributes, password verifiers, settings, comments and memberships. All or none.

    Returns the names of those that were created. With `missing`, existing ones are left alone; with `all` they become as they were in the
    backup. `warnings` gets what this server does not take, and which roles were changed.
    """
    plan = plan_roles(session, cluster, mode)
    names = {role.name for role in (*plan.missing, *plan.changed)}
    if not names:
        return ()
    with unlogged(session), session.transaction():
        for role in plan.missing:
            session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role.name)))
        for role in (*plan.missing, *plan.changed):
            _make_as_it_was(session, role)
            warnings.extend(_set_all(session, role))
        for membership in cluster.memberships:
            if membership.role in names or membership.member in names:
                _grant(session, membership)
    if plan.changed:
        warnings.append(f"roles were made as they are in the backup: {', '.join(role.name for role in plan.changed)}")
    return tuple(sorted(role.name for role in plan.missing))


def role_oid(session: Session, name: str) -> int | None:
    """Return a role's OID, None when there is none of that name."""
    row = session.execute("SELECT oid::bigint AS oid FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    return row["oid"] if row else None


def require_roles(session: Session, cluster: ClusterFacts) -> None:
    """Raise RefusedError when a role of the backup is missing here: something in the database may belong to it."""
    existing = {row["name"] for row in session.execute("SELECT rolname AS name FROM pg_roles")}
    missing = sorted({role.name for role in cluster.roles} - existing)
    if missing:
        raise RefusedError(
            "roles of the backup are missing here, and none are to be created",
            ", ".join(missing),
            "create them, or restore with --globals missing",
        )


def _make_as_it_was(session: Session, role: Role) -> None:
    attributes = {
        "SUPERUSER": role.superuser,
        "INHERIT": role.inherit,
        "CREATEROLE": role.create_role,
        "CREATEDB": role.create_database,
        "LOGIN": role.login,
        "REPLICATION": role.replication,
        "BYPASSRLS": role.bypass_rls,
    }
    options: list[sql.Composable] = [sql.SQL(word if wanted else f"NO{word}") for word, wanted in attributes.items()]
    options.append(sql.SQL("CONNECTION LIMIT {}").format(role.connection_limit))
    options.append(sql.SQL("PASSWORD NULL") if role.password is None else sql.SQL("PASSWORD {}").format(role.password))
    name = sql.Identifier(role.name)
    if role.valid_until is not None:
        options.append(sql.SQL("VALID UNTIL {}").format(role.valid_until))
    elif session.execute("SELECT FROM pg_roles WHERE rolname = %s AND rolvaliduntil IS NOT NULL", (role.name,)).fetchone():
        # What was set once cannot be unset, only be made to mean the same.
        options.append(sql.SQL("VALID UNTIL 'infinity'"))
    session.execute(sql.SQL("ALTER ROLE {} WITH {}").format(name, sql.SQL(" ").join(options)))
    session.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, role.comment))
    session.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))


def _set_all(session: Session, role: Role) -> list[str]:
    warnings = []
    for setting in role.settings:
        name = sql.Identifier(*setting.name.split("."))
        statement = sql.SQL("ALTER ROLE {} SET {} TO {}").format(sql.Identifier(role.name), name, setting_value(setting))
        warnings.extend(try_setting(session, setting, statement))
    return warnings


def _grant(session: Session, membership: Membership) -> None:
    options = [f"ADMIN {'TRUE' if membership.admin else 'FALSE'}"]
    if membership.inherit is not None and session.info.server_version >= 160000:
        options.append(f"INHERIT {'TRUE' if membership.inherit else 'FALSE'}")
        options.append(f"SET {'TRUE' if membership.set else 'FALSE'}")
        clause = "WITH " + ", ".join(options)
    else:
        clause = "WITH ADMIN OPTION" if membership.admin else ""
    session.execute(
        sql.SQL("GRANT {} TO {} {}").format(sql.Identifier(membership.role), sql.Identifier(membership.member), sql.SQL(clause))
    )
