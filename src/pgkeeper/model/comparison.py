"""Comparing what came out of a dump with what the manifest promises."""

from collections.abc import Callable

from pgkeeper.model.counts import count
from pgkeeper.model.manifest import ClusterFacts, Contents, DatabaseFacts, Role, SequenceEntry, TableEntry

_MOST_NAMED = 20
_DATABASE_PROPERTIES = (
    "owner", "encoding", "locale_provider", "lc_collate", "lc_ctype", "locale", "icu_rules", "connection_limit", "is_template", "comment",
    "has_public_schema",
)  # fmt: skip


def differences(
    promised: Contents,
    found: Contents,
    *,
    with_schema: bool = True,
    same_rows: Callable[[TableEntry, TableEntry], bool] = lambda _promised, _found: False,
) -> tuple[str, ...]:
    """Return what differs, a line each, nothing when both agree.

    `same_rows` is asked about a table whose row count agrees but whose ordered digest differs; it decides whether both hold the same rows
    in another order (PostgreSQL may place rows differently when it reuses free space).
    """
    lines: list[str] = []
    lines.extend(_table_differences(promised, found, same_rows))
    lines.extend(_sequence_differences(promised, found))
    if promised.large_objects != found.large_objects:
        lines.append(
            f"large objects: {found.large_objects.count} with {found.large_objects.bytes} bytes found, "
            f"{promised.large_objects.count} with {promised.large_objects.bytes} bytes promised, or other content"
        )
    if with_schema and (promised.schema_digest, promised.schema_statements) != (found.schema_digest, found.schema_statements):
        lines.append(f"schema: {found.schema_statements} statements found, {promised.schema_statements} promised, or other text")
    if len(lines) > _MOST_NAMED:
        lines[_MOST_NAMED:] = [f"and {len(lines) - _MOST_NAMED} more differences"]
    return tuple(lines)


def database_differences(promised: DatabaseFacts, found: DatabaseFacts) -> tuple[str, ...]:
    """Return which of a database's own properties differ, a line each.

    Not compared: its name and size, where tablespaces lie, and what depends on the host it came back on: versions of collations and
    extensions, and settings that a server without some library does not take (a restore remarks on these).
    """
    lines = [
        f"database: {name.replace('_', ' ')} is {getattr(found, name)!r}, promised {getattr(promised, name)!r}"
        for name in _DATABASE_PROPERTIES
        if getattr(promised, name) != getattr(found, name)
    ]
    strange = [setting for setting in found.settings if setting not in promised.settings]
    lines += [f"database: setting {setting.name} is {setting.value!r}, not promised" for setting in strange]
    missing = {extension.name for extension in promised.extensions} ^ {extension.name for extension in found.extensions}
    lines += [f"database: extension {name} is only in one of both" for name in sorted(missing)]
    if _granted(promised) != _granted(found):
        lines.append("database: its privileges differ")
    return tuple(lines)


def role_differences(promised: ClusterFacts, found: ClusterFacts) -> tuple[str, ...]:
    """Return which roles and memberships differ, a line each.

    The superuser that a cluster is born with keeps its own attributes, so those of superusers may differ, as long as they are superusers;
    and the one who granted a membership is whoever restored it.
    """
    lines = []
    theirs = {role.name: role for role in found.roles}
    for role in promised.roles:
        other = theirs.get(role.name)
        if other is None:
            lines.append(f"role {role.name}: missing")
        elif not (role.superuser and other.superuser) and _attributes(role) != _attributes(other):
            lines.append(f"role {role.name}: its attributes differ")
    there = {(membership.role, membership.member, membership.admin) for membership in found.memberships}
    lines += [
        f"role {membership.member}: is no member of {membership.role} any more"
        for membership in promised.memberships
        if (membership.role, membership.member, membership.admin) not in there
    ]
    return tuple(lines)


def _attributes(role: Role) -> Role:
    """Return the role without its settings, which a server without some library does not take."""
    return role.model_copy(update={"settings": ()})


def _granted(facts: DatabaseFacts) -> set[tuple[str | None, str, bool]]:
    """Return who may do what with a database, PostgreSQL's defaults spelled out."""
    if facts.privileges is None:
        default = ((facts.owner, "CREATE"), (facts.owner, "CONNECT"), (facts.owner, "TEMPORARY"), (None, "CONNECT"), (None, "TEMPORARY"))
        return {(grantee, privilege, False) for grantee, privilege in default}
    return {(privilege.grantee, privilege.privilege, privilege.grantable) for privilege in facts.privileges}


def _table_differences(promised: Contents, found: Contents, same_rows: Callable[[TableEntry, TableEntry], bool]) -> list[str]:
    lines = []
    theirs = {(table.schema_name, table.name): table for table in found.tables}
    for table in promised.tables:
        other = theirs.pop((table.schema_name, table.name), None)
        if other is None:
            lines.append(f"table {table.label}: missing")
        elif other.rows != table.rows:
            lines.append(f"table {table.label}: {count(other.rows, 'row')} found, {table.rows} promised")
        elif other.digest != table.digest and not same_rows(table, other):
            lines.append(f"table {table.label}: {count(table.rows, 'row')}, but their content differs")
    lines.extend(f"table {table.label}: not promised" for table in theirs.values())
    return lines


def _sequence_differences(promised: Contents, found: Contents) -> list[str]:
    lines = []
    theirs = {(sequence.schema_name, sequence.name): sequence for sequence in found.sequences}
    for sequence in promised.sequences:
        other = theirs.pop((sequence.schema_name, sequence.name), None)
        label = f"sequence {sequence.schema_name}.{sequence.name}"
        if other is None:
            lines.append(f"{label}: missing")
        elif other != sequence:
            lines.append(f"{label}: at {_position(other)}, promised {_position(sequence)}")
    lines.extend(f"sequence {sequence.schema_name}.{sequence.name}: not promised" for sequence in theirs.values())
    return lines


def _position(sequence: SequenceEntry) -> str:
    return f"{sequence.last_value}{'' if sequence.is_called else ' (still to be given out)'}"
