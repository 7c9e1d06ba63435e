r"""Understanding a dump while it passes: exact row counts and digests of everything in it.

Digests are over the COPY text itself, block by block: hashing row by row costs many times more. Large objects are digested decoded, one by
one, and added up, so that neither their order nor their number matters. Schema statements are treated likewise, without what changes from
dump to dump: session settings, comments, and the `\restrict` tokens (which are no statements).
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.manifest import Contents, LargeObjectsEntry, SequenceEntry, TableEntry
from pgkeeper.postgres.dump_reader import CopyData, CopyEnd, CopyStart, DumpReader, Event, Statement, split_qualified
from pgkeeper.postgres.statements import statement_words

_MODULUS = 1 << 256
_MOST_STATEMENTS = 3
_AUTHORIZATION = b"SET SESSION AUTHORIZATION "
_RESET_AUTHORIZATION = b"RESET SESSION AUTHORIZATION;"
_SESSION = (_RESET_AUTHORIZATION, b"SET ", b"SELECT pg_catalog.set_config(", b"BEGIN;", b"COMMIT;")
_LARGE_OBJECT = (b"SELECT pg_catalog.lo_open(", b"SELECT pg_catalog.lowrite(", b"SELECT pg_catalog.lo_close(")
_SETVAL = re.compile(rb"SELECT pg_catalog\.setval\('((?:[^']|'')*+)', (-?\d+), (true|false)\);", re.DOTALL)
_LO_OPEN = re.compile(rb"SELECT pg_catalog\.lo_open\('(\d+)', \d+\);")
_LOWRITE = re.compile(rb"SELECT pg_catalog\.lowrite\(0, '\\{1,2}x([0-9a-f]*+)'\);")


def order_free_digests(chunks: Iterable[bytes], wanted: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return for each wanted table a digest of its rows that does not depend on their order.

    Hashing row by row is slow (some 10 s a GB): meant for tables whose ordered digests differ.
    """
    reader = DumpReader()
    digests = {names: _OrderFree() for names in wanted}
    rows: _OrderFree | None = None
    rest = b""
    for chunk in chunks:
        for event in reader.feed(chunk):
            if isinstance(event, CopyStart):
                rows, rest = digests.get((event.schema_name, event.table)), b""
            elif isinstance(event, CopyData) and rows is not None:
                *lines, rest = (rest + bytes(event.data)).split(b"\n")
                for line in lines:
                    rows.add(line)
    return {names: digest.hexdigest() for names, digest in digests.items()}


def without_statements(contents: Contents, statements: Sequence[bytes]) -> Contents:
    """Return `contents` as if these schema statements, which are in it, were not: the schema's digest is a sum."""
    total = int(contents.schema_digest, 16) - sum(int.from_bytes(hashlib.sha256(text).digest()) for text in statements)
    return contents.model_copy(
        update={
            "schema_digest": f"{total % _MODULUS:064x}",
            "schema_statements": contents.schema_statements - len(statements),
        }
    )


def schema_differences(promised: Iterable[bytes], found: Iterable[bytes]) -> tuple[str, ...]:
    """Return for people which schema statements only one of two dumps has, the first few of each."""
    one, other = _schema_statements(promised), _schema_statements(found)
    lines = []
    for what, statements in (("missing", one - other), ("not promised", other - one)):
        named = [statement_words(text.decode("utf-8", "replace")) for text in list(statements)[:_MOST_STATEMENTS]]
        lines += [f"{what}: {words}" for words in named]
    return tuple(lines)


def _schema_statements(chunks: Iterable[bytes]) -> Counter[bytes]:
    reader = DumpReader()
    events = (event for chunk in chunks for event in reader.feed(chunk))
    return Counter(event.text for event in events if isinstance(event, Statement) and is_schema(event.text))


def is_schema(text: bytes) -> bool:
    """Tell whether a statement makes or changes an object, rather than set up the session or carry data."""
    return not (text.startswith(_SESSION) or is_large_object_data(text) or is_sequence_value(text))


def is_large_object_data(text: bytes) -> bool:
    """Tell whether a statement opens, writes or closes a large object."""
    return text.startswith(_LARGE_OBJECT)


def is_sequence_value(text: bytes) -> bool:
    """Tell whether a statement sets a sequence's position."""
    return text.startswith(b"SELECT pg_catalog.setval(")


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

    `feed` every chunk, then `finish` returns the `Contents`. Memory stays constant but for one entry a table and a sequence.
    """

    def __init__(self) -> None:
        self._reader = DumpReader()
        self.sql_bytes = 0
        self._tables: dict[tuple[str, str], TableEntry] = {}
        self._sequences: list[SequenceEntry] = []
        self._schema = _OrderFree()
        self._authorization = b""
        self._objects = _OrderFree()
        self._object_bytes = 0
        self._object: tuple[bytes, int, hashlib._Hash] | None = None
        self._names = ("", "")
        self._rows = self._bytes = 0
        self._digest = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        """Take in the next piece. Raises IntegrityError for text that is no dump."""
        self.sql_bytes += len(chunk)
        for event in self._reader.feed(chunk):
            self._take(event)

    def finish(self) -> Contents:
        """Return what the dump holds. Raises IntegrityError when it is cut short."""
        self._reader.finish()
        return Contents(
            sql_bytes=self.sql_bytes,
            tables=tuple(self._tables[names] for names in sorted(self._tables)),
            sequences=tuple(sorted(self._sequences, key=lambda sequence: (sequence.schema_name, sequence.name))),
            large_objects=LargeObjectsEntry(count=self._objects.count, bytes=self._object_bytes, digest=self._objects.hexdigest()),
            schema_statements=self._schema.count,
            schema_digest=self._schema.hexdigest(),
        )

    def _take(self, event: Event) -> None:
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
        if is_sequence_value(text):
            self._sequences.append(self._sequence(text))
        elif is_large_object_data(text):
            self._large_object(text)
        elif is_schema(text):
            self._schema.add(self._authorization + text)
        elif text.startswith(_AUTHORIZATION):
            # Who grants belongs to the grant.
            self._authorization = text
        if text == _RESET_AUTHORIZATION:
            self._authorization = b""

    def _sequence(self, text: bytes) -> SequenceEntry:
        found = _SETVAL.fullmatch(text)
        if found is None:
            raise IntegrityError("the dump cannot be understood", "a sequence is set in an unknown way")
        name = found[1].replace(b"''", b"'")
        if not self._reader.standard_strings:
            name = name.replace(b"\\\\", b"\\")
        schema_name, sequence = split_qualified(name, self._reader.encoding)
        return SequenceEntry(schema_name=schema_name, name=sequence, last_value=int(found[2]), is_called=found[3] == b"true")

    def _large_object(self, text: bytes) -> None:
        if found := _LOWRITE.fullmatch(text):
            if self._object is None:
                raise IntegrityError("the dump cannot be understood", "a large object is written before it is opened")
            oid, size, digest = self._object
            data = bytes.fromhex(found[1].decode())
            digest.update(data)
            self._object = (oid, size + len(data), digest)
        elif found := _LO_OPEN.fullmatch(text):
            self._object = (found[1], 0, hashlib.sha256())
        elif self._object is not None:
            oid, size, digest = self._object
            self._objects.add(b"%s:%d:%s" % (oid, size, digest.digest()))
            self._object_bytes += size
            self._object = None
