"""Hold a live database against a backup: dump it again, and compare what comes out with the manifest."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from pgkeeper.model.comparison import differences
from pgkeeper.model.manifest import DATABASE_FILE, Contents, Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.postgres.dump import Dumper
from pgkeeper.postgres.schema_comparison import Statements, schema_differences
from pgkeeper.postgres.understanding import DumpUnderstanding, Rows, order_free_digests, schema_statements, without_statements
from pgkeeper.stores.copy import Copy


def compare_database(
    dumper: Dumper,
    backup: Copy,
    manifest: Manifest,
    progress: Progress,
    *,
    with_schema: bool,
    unfilled: Sequence[bytes] = (),
    promised_statements: Statements | None = None,
    reprinted: Callable[[], Statements] | None = None,
) -> tuple[str, ...]:
    """Return what differs between the database that `dumper` dumps and the backup, a line each; nothing when they are equal.

    Compared are every table's rows, sequences, large objects and, `with_schema`, the schema's statements (between major versions their
    text differs) but for `unfilled`, the REFRESH statements of materialized views that could not be filled. Tables whose rows only stand
    in another order are equal, and so are those whose columns do; finding that out takes a second look at both sides.

    `promised_statements` are what the backup says about the schema, where the caller has read it anyway. `reprinted` is as for
    `schema_differences`.
    """
    encoding = manifest.database.encoding
    understanding = DumpUnderstanding()
    for chunk in dumper.data(None, encoding):
        understanding.feed(chunk)
        progress.advance(understanding.sql_bytes, manifest.contents.sql_bytes)
    found = understanding.finish()
    promised = without_statements(manifest.contents, unfilled)
    before: dict[tuple[str, str], Rows] = {}
    after: dict[tuple[str, str], Rows] = {}
    if suspects := _reordered_at_most(promised, found):
        before = order_free_digests(_saved(backup, manifest), suspects)
        after = order_free_digests(dumper.data(None, encoding), suspects, like=before)
    lines = differences(
        promised,
        found,
        with_schema=False,
        same_rows=lambda table, _other: before[table.schema_name, table.name] == after[table.schema_name, table.name],
    )
    if with_schema and promised.schema_digest != found.schema_digest:
        statements = promised_statements if promised_statements is not None else schema_statements(_saved(backup, manifest))
        lines += schema_differences(statements - Counter(unfilled), understanding.statements, reprinted)
    return lines


def _saved(backup: Copy, manifest: Manifest) -> Iterator[bytes]:
    return backup.read_gzip(manifest.file(DATABASE_FILE))


def _reordered_at_most(promised: Contents, found: Contents) -> set[tuple[str, str]]:
    """Return the tables with as many rows as promised but another digest."""
    rows = {(table.schema_name, table.name): (table.rows, table.digest) for table in found.tables}
    names = (((table.schema_name, table.name), table) for table in promised.tables)
    return {name for name, table in names if name in rows and rows[name][0] == table.rows and rows[name][1] != table.digest}
