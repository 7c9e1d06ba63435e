"""What `schema.dump` holds: the entries of its table of contents, each with its statements, owner and dependencies.

pg_restore itself prints them (`--file=- --verbose`), so its archive format stays its own business. It is asked twice: once with
`--use-set-session-authorization`, which says whose each entry is by a statement, and once without, which gives objects to their owners by
ALTER … OWNER. Comments between statements carry numbers only we look for; names in comments have no line ends (pg_dump's sanitize_line),
so nobody can write an entry's header into them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pgkeeper.host.processes import run_for_bytes
from pgkeeper.model.errors import ConfigurationError, IntegrityError, OperationFailed, PgkeeperError
from pgkeeper.postgres.encodings import decode_name
from pgkeeper.postgres.restricted import Restricted
from pgkeeper.postgres.statements import next_span

_SECONDS = 600
_LISTED = re.compile(r"(\d+); \d+ \d+ (.*)")
_HEADER = re.compile(rb"^-- TOC entry (\d+) \(", re.MULTILINE)
_AFTER = re.compile(rb"^-- Dependencies:((?: \d+)+)$", re.MULTILINE)
_AUTHORIZATION = re.compile(rb"SET SESSION AUTHORIZATION (?:'((?:[^']|'')*)'|DEFAULT);", re.DOTALL)
_ENCODING = re.compile(rb"SET client_encoding = '([A-Za-z0-9_]+)';")
_SETS = re.compile(rb"SET \w+ = (?:\w+|'[^']*');|SELECT pg_catalog\.set_config\('search_path', '', false\);")
# pg_restore's words (pg_backup_archiver.c, pg_backup_custom.c) for a file that is no archive, or not all of one.
_NO_ARCHIVE = re.compile(
    "does not appear to be a valid archive|did not find magic string|could not read from input file|unexpected end of file|too short"
    "|text format dump|out of range -- perhaps a corrupt TOC|invalid dumpId|sanity check on integer size|unrecognized (?:file format|data"
    " block type|encoding)|invalid (?:ENCODING|STDSTRINGS|SEARCHPATH) item|unexpected (?:section|data offset|block)|could not uncompress"
)
_TOO_NEW = re.compile(r"unsupported version \(([0-9.]+)\) in file header")
_STANDING = (b"SET default_tablespace = ", b"SET default_table_access_method = ")


@dataclass(frozen=True)
class Entry:
    """One entry of the table of contents.

    `kind` is what pg_restore's list says of it, the kind first ("TABLE public posts app"). `owner` is "" for what belongs to nobody.
    `bare` are its statements as its owner would run them; `full` are those for a superuser, and give the object to its owner. `standing`
    are the settings that hold meanwhile (tablespace, access method). `after` are the numbers of entries it depends on. `post_data` tells
    whether pg_restore makes it after the data.
    """

    number: int
    kind: str
    owner: str
    bare: tuple[bytes, ...]
    full: tuple[bytes, ...]
    standing: tuple[bytes, ...]
    after: frozenset[int]
    post_data: bool

    def is_one_of(self, kinds: Sequence[str]) -> bool:
        """Tell whether the entry is of one of `kinds`, written as pg_restore lists them, with a space at the end."""
        return self.kind.startswith(tuple(kinds))


@dataclass(frozen=True)
class Entries:
    """All entries in the archive's order, and the statements that set a session up for them."""

    preamble: tuple[bytes, ...]
    entries: tuple[Entry, ...]

    def statements(self) -> Iterator[bytes]:
        """Yield every statement of a plain dump of the schema, without those that set the session up."""
        for entry in self.entries:
            yield from entry.full

    def count(self, kinds: Sequence[str], but: Sequence[str]) -> int:
        """Return how many entries are of one of `kinds` and of none of `but`, which are kinds that begin like these."""
        return sum(entry.is_one_of(kinds) and not entry.is_one_of(but) for entry in self.entries)


@dataclass
class _Part:
    """An entry as one of the two scripts shows it."""

    owner: str = ""
    statements: list[bytes] = field(default_factory=list)
    standing: tuple[bytes, ...] = ()
    after: frozenset[int] = frozenset()


def read_entries(
    program: Path, archive: Path, environment: dict[str, str], descriptors: Sequence[int] = (), *, tablespaces: bool = True
) -> Entries:
    """Return what the archive holds, as `program` (a pg_restore) reads it.

    `descriptors` are open files of ours that reading `archive` takes. Without `tablespaces` everything goes to the database's own.
    Raises IntegrityError for what is no whole archive, or a script that cannot be understood; ConfigurationError where pg_restore is too
    old for it; OperationFailed with pg_restore's words otherwise.
    """

    def ask(*options: str) -> bytes:
        arguments: list[str | Path] = [program, *options, *([] if tablespaces else ["--no-tablespaces"]), archive]
        try:
            return run_for_bytes(arguments, environment, timeout=_SECONDS, descriptors=descriptors)[0]
        except OperationFailed as error:
            raise _as_found(error) from error

    def listed(*options: str) -> list[tuple[int, str]]:
        # Names may hold all that Python takes for a line's end; pg_restore itself ends lines with \n alone.
        lines = ask("--list", *options).decode("utf-8", "replace").split("\n")
        return [(int(found[1]), found[2]) for line in lines if (found := _LISTED.match(line))]

    later = {number for number, _ in listed("--section=post-data")}
    preamble, full = _parts(ask("--file=-", "--verbose"), owners=False)
    _, bare = _parts(ask("--file=-", "--verbose", "--use-set-session-authorization"), owners=True)
    if full.keys() != bare.keys():
        raise IntegrityError("the backup's schema cannot be understood", "pg_restore shows it differently each time")
    entries = []
    for number, kind in listed():
        if number in full:
            one, other = full[number], bare[number]
            statements = tuple(other.statements), tuple(one.statements)
            entries.append(Entry(number, kind, other.owner, *statements, other.standing, other.after, number in later))
    return Entries(preamble, tuple(entries))


def _parts(script: bytes, *, owners: bool) -> tuple[tuple[bytes, ...], dict[int, _Part]]:
    """Take a script apart: what sets the session up, and each entry by its number.

    `owners` says that SET SESSION AUTHORIZATION before an entry's header tells whose it is.
    """
    preamble: list[bytes] = []
    parts: dict[int, _Part] = {}
    part: _Part | None = None
    owner, standing = "", dict.fromkeys(_STANDING, b"")
    position, standard, encoding = 0, True, "UTF8"
    restricted = Restricted()
    while (span := next_span(script, position, standard_strings=standard, at_end=True)) is not None:
        between, text = script[position : span.start], script[span.start : span.end]
        position = span.end
        part = _begun(between, parts, owner, standing) or part
        if span.kind == "meta":
            restricted.take(text)
        elif owners and (said := _AUTHORIZATION.fullmatch(text)):
            owner = _name(said[1] or b"", encoding, standard_strings=standard)
        elif text.startswith(_STANDING):
            standing |= {name: text for name in _STANDING if text.startswith(name)}
        elif part is None:
            _require_setting(text)
            preamble.append(text)
            standard = standard and text != b"SET standard_conforming_strings = off;"
            encoding = found[1].decode() if (found := _ENCODING.fullmatch(text)) else encoding
        else:
            part.statements.append(text)
    _begun(script[position:], parts, owner, standing)
    return tuple(preamble), parts


def _name(literal: bytes, encoding: str, *, standard_strings: bool) -> str:
    """Return the name in a string literal, quotes resolved."""
    name = literal.replace(b"''", b"'")
    return decode_name(name if standard_strings else name.replace(b"\\\\", b"\\"), encoding)


def _begun(between: bytes, parts: dict[int, _Part], owner: str, standing: dict[bytes, bytes]) -> _Part | None:
    """Note the entries whose headers stand between two statements; return the last, to which the next statement belongs."""
    headers = list(_HEADER.finditer(between))
    ends = [header.start() for header in headers[1:]] + [len(between)]
    part = None
    for header, end in zip(headers, ends, strict=False):
        after = _AFTER.search(between, header.end(), end)
        numbers = frozenset(map(int, after[1].split())) if after else frozenset[int]()
        part = parts[int(header[1])] = _Part(owner, [], tuple(text for text in standing.values() if text), numbers)
    return part


def _require_setting(text: bytes) -> None:
    """What sets a session up is run by superusers, so it may call nothing."""
    if not _SETS.fullmatch(text):
        raise IntegrityError("the backup's schema cannot be understood", "something else than settings stands before its entries")


def _as_found(error: OperationFailed) -> PgkeeperError:
    """Return what it means that pg_restore failed: damage only where it says that the file is no archive."""
    if found := _TOO_NEW.search(error.why):
        why = f"its format {found[1]} is newer than the pg_restore of this host"
        hint = "install the PostgreSQL client that made it, or a newer one"
        return ConfigurationError("the backup's schema.dump cannot be read", why, hint)
    if _NO_ARCHIVE.search(error.why):
        return IntegrityError("the backup's schema.dump is no whole archive", error.why)
    return error
