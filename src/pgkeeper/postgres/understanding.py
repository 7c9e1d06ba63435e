r"""Understanding a dump while it passes: exact row counts and digests of everything in it.

Digests are over the COPY text itself, block by block: hashing row by row costs many times more. Large objects are digested decoded, one by
one, and added up, so that neither their order nor their number matters. Schema statements are treated likewise, without what changes from
dump to dump: session settings, comments, and the `\restrict` tokens (which are no statements).
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import Contents, LargeObjectsEntry, SequenceEntry, TableEntry
from pgkeeper.postgres.data_statements import LARGE_OBJECT_DATA, LO_OPEN, LOWRITE, SEQUENCE_VALUE, SETVAL, called
from pgkeeper.postgres.dump_reader import CopyData, CopyEnd, CopyStart, DumpReader, Event, Statement, split_qualified

_MODULUS = 1 << 256
_AUTHORIZATION = b"SET SESSION AUTHORIZATION "
_RESET_AUTHORIZATION = b"RESET SESSION AUTHORIZATION;"
_SESSION = (_RESET_AUTHORIZATION, b"SET ", b"SELECT pg_catalog.set_config(", b"BEGIN;", b"COMMIT;")
_DATA = (SEQUENCE_VALUE, *LARGE_OBJECT_DATA)
_WITH_DATA = re.compile(
    rb"^(?:SET SESSION AUTHORIZATION [^;]*;)?(?:SELECT pg_catalog\.lo_create\(|REFRESH MATERIALIZED VIEW "
    rb"|(?:ALTER|COMMENT ON) LARGE OBJECT \d|(?:GRANT|REVOKE) [A-Z, ]+ ON LARGE OBJECT \d|SECURITY LABEL [^;]* ON LARGE OBJECT \d)"
)


Rows = tuple[tuple[bytes, ...], str]
"""The columns of a table as a dump names them, and a digest of its rows that depends neither on their order nor on that of the columns."""


def order_free_digests(
    chunks: Iterable[bytes], wanted: set[tuple[str, str]], like: Mapping[tuple[str, str], Rows] | None = None
) -> dict[tuple[str, str], Rows]:
    """Return for each wanted table its columns, and a digest of its rows that does not depend on their order.

    `like` holds what another dump said of the same tables: then values are taken in the order of its columns, by their names. A column
    that was added to the parent of an inheritance comes back in another place. Hashing row by row is slow (some 10 s a GB): meant for
    tables whose ordered digests differ.
    """
    reader = DumpReader()
    digests = {names: _OrderFree() for names in wanted}
    columns: dict[tuple[str, str], tuple[bytes, ...]] = dict.fromkeys(wanted, ())
    rows: _OrderFree | None = None
    order: list[int] | None = None
    rest = b""
    for chunk in chunks:
        for event in reader.feed(chunk):
            if isinstance(event, CopyStart):
                names = (event.schema_name, event.table)
                rows, rest = digests.get(names), b""
                if rows is not None:
                    named = event.columns
                    # A tree's partitions come one after the other, and may have their columns in other places.
                    order = _order(named, like[names][0] if like and names in like else columns[names])
                    columns[names] = named if order is None else tuple(named[place] for place in order)
            elif isinstance(event, CopyData) and rows is not None:
                *lines, rest = (rest + bytes(event.data)).split(b"\n")
                for line in lines:
                    rows.add(line if order is None else _arranged(line, order))
    return {names: (columns[names], digest.hexdigest()) for names, digest in digests.items()}


def _order(columns: Sequence[bytes], wanted: Sequence[bytes]) -> list[int] | None:
    """Return where each wanted column stands in `columns`; None where they stand in that order already, or are others."""
    if columns == wanted or sorted(columns) != sorted(wanted):
        return None
    return [columns.index(name) for name in wanted]


def _arranged(line: bytes, order: Sequence[int]) -> bytes:
    values = line.split(b"\t")
    return b"\t".join(values[place] for place in order)


class SchemaStatements:
    """Collects what a dump says about the schema; a GRANT together with who grants."""

    def __init__(self) -> None:
        self.found: Counter[bytes] = Counter()
        self._authorization = b""

    def add(self, text: bytes) -> bytes | None:
        """Take in a statement; return what it says about the schema, or None when that is nothing."""
        said = None
        if is_schema(text):
            said = self._authorization + text
            self.found[said] += 1
        elif text.startswith(_AUTHORIZATION):
            self._authorization = text
        if text == _RESET_AUTHORIZATION:
            self._authorization = b""
        return said


def schema_statements(chunks: Iterable[bytes]) -> Counter[bytes]:
    """Return what a whole dump says about the schema."""
    reader = DumpReader()
    events = (event for chunk in chunks for event in reader.feed(chunk))
    found = schema_statements_of(event.text for event in events if isinstance(event, Statement))
    reader.finish()
    return found


def schema_statements_of(statements: Iterable[bytes]) -> Counter[bytes]:
    """Return what a dump's statements say about the schema."""
    collected = SchemaStatements()
    for text in statements:
        collected.add(text)
    return collected.found


def without_data(statements: Counter[bytes]) -> Counter[bytes]:
    """Return the statements that a dump of the schema alone has as well: none about large objects, none that fill views."""
    return Counter({text: count for text, count in statements.items() if not _WITH_DATA.search(text)})


def without_statements(contents: Contents, statements: Sequence[bytes]) -> Contents:
    """Return `contents` as if these schema statements, which are in it, were not: the schema's digest is a sum."""
    total = int(contents.schema_digest, 16) - sum(int.from_bytes(hashlib.sha256(text).digest()) for text in statements)
    return contents.model_copy(
        update={
            "schema_digest": f"{total % _MODULUS:064x}",
            "schema_statements": contents.schema_statements - len(statements),
        }
    )


def is_schema(text: bytes) -> bool:
    """Tell whether a statement makes or changes an object, rather than set up the session or carry data. Raises as `called` does."""
    return called(text) not in _DATA and not text.startswith(_SESSION)


class _OrderFree:
    """A digest of a multiset: SHA-256 of each member, added modulo 2**256."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, member: bytes) -> None:
        self.count += 1
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(member).digest())) % _MODULUS

    def hexdigest(self) -> str:
        return f"{self._sum:064x}"


def _joined(earlier: TableEntry | None, entry: TableEntry) -> TableEntry:
    """Join the pieces of one table: pg_dump loads some partitions through their root, in several COPY blocks."""
    if earlier is None:
        return entry
    digest = hashlib.sha256(bytes.fromhex(earlier.digest + entry.digest)).hexdigest()
    return entry.model_copy(update={"rows": earlier.rows + entry.rows, "bytes": earlier.bytes + entry.bytes, "digest": digest})


class DumpUnderstanding:
    """Reads a dump and knows, at its end, what was in it.

    `feed` every chunk, then `finish` returns the `Contents`. Somebody else who reads the dump can let it read along (`counted`, `take`).
    Memory stays constant but for one entry a table and a sequence, and the text of the schema.
    """

    def __init__(self) -> None:
        self.reader = DumpReader()
        self.sql_bytes = 0
        self._statements = SchemaStatements()
        self._tables: dict[tuple[str, str], TableEntry] = {}
        self._sequences: list[SequenceEntry] = []
        self._schema = _OrderFree()
        self._objects = _OrderFree()
        self._object_bytes = 0
        self._object: tuple[bytes, int, hashlib._Hash] | None = None
        self._names = ("", "")
        self._rows = self._bytes = 0
        self._digest = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        """Take in the next piece. Raises IntegrityError for text that is no dump."""
        self.sql_bytes += len(chunk)
        for event in self.reader.feed(chunk):
            self.take(event)

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks to somebody who feeds them to `reader` instead, and then calls `take` for each event."""
        for chunk in chunks:
            self.sql_bytes += len(chunk)
            yield chunk

    @property
    def statements(self) -> Counter[bytes]:
        """What was said about the schema so far."""
        return self._statements.found

    def finish(self) -> Contents:
        """Return what the dump holds. Raises IntegrityError when it is cut short."""
        self.reader.finish()
        return Contents(
            sql_bytes=self.sql_bytes,
            tables=tuple(self._tables[names] for names in sorted(self._tables)),
            sequences=tuple(sorted(self._sequences, key=lambda sequence: (sequence.schema_name, sequence.name))),
            large_objects=LargeObjectsEntry(count=self._objects.count, bytes=self._object_bytes, digest=self._objects.hexdigest()),
            schema_statements=self._schema.count,
            schema_digest=self._schema.hexdigest(),
        )

    def take(self, event: Event) -> None:
        """Take in what `reader` found."""
        if isinstance(event, CopyData):
            self._digest.update(event.data)
            self._bytes += event.stop - event.start
            self._rows += event.rows
        elif isinstance(event, CopyStart):
            self._names = (event.schema_name, event.table)
            self._rows = self._bytes = 0
            self._digest = hashlib.sha256()
        elif isinstance(event, CopyEnd):
            entry = TableEntry(
                schema_name=self._names[0], name=self._names[1], rows=self._rows, bytes=self._bytes, digest=self._digest.hexdigest()
            )
            self._tables[self._names] = _joined(self._tables.get(self._names), entry)
        elif isinstance(event, Statement):
            self._take_statement(event.text)

    def _take_statement(self, text: bytes) -> None:
        name = called(text)
        if name == SEQUENCE_VALUE:
            self._sequences.append(self._sequence(text))
        elif name in LARGE_OBJECT_DATA:
            self._large_object(text)
        elif said := self._statements.add(text):
            self._schema.add(said)

    def _sequence(self, text: bytes) -> SequenceEntry:
        found = SETVAL.fullmatch(text)
        assert found is not None
        name = found[1].replace(b"''", b"'")
        if not self.reader.standard_strings:
            name = name.replace(b"\\\\", b"\\")
        schema_name, sequence = split_qualified(name, self.reader.encoding)
        return SequenceEntry(schema_name=schema_name, name=sequence, last_value=int(found[2]), is_called=found[3] == b"true")

    def _large_object(self, text: bytes) -> None:
        if found := LOWRITE.fullmatch(text):
            if self._object is None:
                raise IntegrityError("the dump cannot be understood", "a large object is written before it is opened")
            oid, size, digest = self._object
            data = bytes.fromhex(found[1].decode())
            digest.update(data)
            self._object = (oid, size + len(data), digest)
        elif found := LO_OPEN.fullmatch(text):
            self._object = (found[1], 0, hashlib.sha256())
        elif self._object is not None:
            oid, size, digest = self._object
            self._objects.add(b"%s:%d:%s" % (oid, size, digest.digest()))
            self._object_bytes += size
            self._object = None
