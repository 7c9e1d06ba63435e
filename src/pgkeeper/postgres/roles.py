"""Roles from a manifest: missing ones are created as they were, existing ones are left alone."""

from psycopg import sql

from pgkeeper.model.manifest import ClusterFacts, Membership, Role
from pgkeeper.postgres.server import Session, unlogged
from pgkeeper.postgres.stored_settings import setting_value, try_setting


def create_missing_roles(session: Session, cluster: ClusterFacts, warnings: list[str]) -> tuple[str, ...]:
    """Create the roles of `cluster` that do not exist, with attributes, password verifiers, settings, comments and memberships.

    Returns their names; `warnings` gets settings that this server does not take. All roles or none.
    """
    existing = {row["name"] for row in session.execute("SELECT rolname AS name FROM pg_roles")}
    missing = [role for role in cluster.roles if role.name not in existing]
    names = {role.name for role in missing}
    if not missing:
        return ()
    with unlogged(session), session.transaction():
        for role in missing:
            _create(session, role)
            warnings.extend(_set_all(session, role))
        for membership in cluster.memberships:
            if membership.role in names or membership.member in names:
                _grant(session, membership)
    return tuple(sorted(names))


def _create(session: Session, role: Role) -> None:
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
    if role.password is not None:
        options.append(sql.SQL("PASSWORD {}").format(role.password))
    if role.valid_until is not None:
        options.append(sql.SQL("VALID UNTIL {}").format(role.valid_until))
    name = sql.Identifier(role.name)
    session.execute(sql.SQL("CREATE ROLE {} WITH {}").format(name, sql.SQL(" ").join(options)))
    if role.comment is not None:
        session.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, role.comment))


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
