"""Entries that would run another role's code without having meant it, or a superuser's session that of an ordinary role.

A dump names functions and operators by schema and name, and the server chooses among those of one name by their arguments, as if the
statement had just been written. In the original the choice was made when the object was made. So whoever may create in a schema could
put a better fitting function beside the one that somebody more powerful uses, and a restore would take it. Validators of languages and
foreign data wrappers are called by whoever makes something with them.
"""

import re
from collections.abc import Collection, Iterable

from pgkeeper.postgres.load.entries import Entry
from pgkeeper.postgres.load.entry_owners import PRIVILEGES, ROUTINES
from pgkeeper.postgres.load.statement_text import without_texts
from pgkeeper.postgres.server import Session

_NAME = rb'((?:"(?:[^"]|"")+"|[^\s".(]+)\.(?:"(?:[^"]|"")+"|[^\s".(]+))'
_ROUTINE = re.compile(rb"CREATE (?:FUNCTION|PROCEDURE|AGGREGATE) " + _NAME + rb"\(")
_OPERATOR = re.compile(rb'CREATE OPERATOR ((?:"(?:[^"]|"")+"|[^\s".(]+)\.[^\s(]+) \(')
_RESOLVES_NOTHING = (*PRIVILEGES, "COMMENT ", "SECURITY LABEL ", "OPERATOR ")
_CALLED_BY_USERS = ("FOREIGN DATA WRAPPER ", "PROCEDURAL LANGUAGE ", "ACCESS METHOD ")
_MADE_ALREADY = """
SELECT DISTINCT format('%I.%I(', n.nspname, p.proname) AS mention
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


class ForeignCode:
    """Knows which of an archive's `entries` would run code of others; made when only extensions are in the session's database.

    `superusers` are the names of roles whose functions may run as anybody.
    """

    def __init__(self, session: Session, entries: Iterable[Entry], superusers: Collection[str]) -> None:
        owners: dict[bytes, set[str | None]] = {}
        for row in session.execute(_MADE_ALREADY).fetchall():
            owners.setdefault(row["mention"].encode(), set()).add(None)
        ordinary: dict[int, str] = {}
        for entry in entries:
            if (mention := _mention(entry)) is None:
                continue
            owner = None if not entry.owner or entry.owner in superusers else entry.owner
            owners.setdefault(mention, set()).add(owner)
            if owner is not None and entry.is_one_of(ROUTINES):
                ordinary[entry.number] = entry.owner
        self._ambiguous = {mention: found for mention, found in owners.items() if len(found) > 1}
        self._ordinary = ordinary

    def in_entry(self, entry: Entry, runner: str | None) -> str:
        """Return whose code `runner` (None for a superuser) would run by making the entry, in words; "" when it is nobody else's."""
        if entry.is_one_of(_CALLED_BY_USERS) and (whose := [self._ordinary[number] for number in entry.after if number in self._ordinary]):
            return f"it calls a function of {whose[0]}"
        if entry.is_one_of(_RESOLVES_NOTHING):
            return ""
        for mention, owners in self._ambiguous.items():
            others = sorted(owner for owner in owners if owner is not None and owner != runner)
            if others and _resolves(entry, mention):
                return f"{others[0]} has a function or operator of a name it uses, {mention.decode('utf-8', 'replace').rstrip('(')}"
        return ""


def _resolves(entry: Entry, mention: bytes) -> bool:
    """Tell whether making the entry looks for a function or operator of this name."""
    if not entry.is_one_of(ROUTINES):
        return any(mention in text for text in entry.full)
    # Its first statement begins with its own name; those after it say everything about arguments. What is between quotes is looked at when
    # the function is called, as in the original.
    text = without_texts(entry.full[0], names=False) if entry.full else b""
    text = _ROUTINE.sub(b"", text, count=1)
    return mention in text or bool(re.search(rb"FUNC = " + re.escape(mention.rstrip(b"(")) + rb"[,\n]", text))


def _mention(entry: Entry) -> bytes | None:
    """Return how definitions name what the entry makes, where that is a routine or an operator."""
    if not entry.bare:
        return None
    if entry.is_one_of(ROUTINES):
        found = _ROUTINE.match(entry.bare[0])
        return found[1] + b"(" if found else None
    found = _OPERATOR.match(entry.bare[0]) if entry.is_one_of(("OPERATOR ",)) else None
    return b"OPERATOR(" + found[1] + b")" if found else None
