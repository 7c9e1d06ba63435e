"""Comparing what came out of a dump with what the manifest promises."""

from collections.abc import Callable

from pgkeeper.model.manifest import Contents, TableEntry

_MOST_NAMED = 20


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


def _table_differences(promised: Contents, found: Contents, same_rows: Callable[[TableEntry, TableEntry], bool]) -> list[str]:
    lines = []
    theirs = {(table.schema_name, table.name): table for table in found.tables}
    for table in promised.tables:
        other = theirs.pop((table.schema_name, table.name), None)
        if other is None:
            lines.append(f"table {table.label}: missing")
        elif other.rows != table.rows:
            lines.append(f"table {table.label}: {other.rows} rows found, {table.rows} promised")
        elif other.digest != table.digest and not same_rows(table, other):
            lines.append(f"table {table.label}: {table.rows} rows, but their content differs")
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
            lines.append(f"{label}: at {other.last_value}, promised {sequence.last_value}")
    lines.extend(f"sequence {sequence.schema_name}.{sequence.name}: not promised" for sequence in theirs.values())
    return lines
