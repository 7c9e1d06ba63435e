"""Who runs an entry of the archive: its owner, or a superuser who gives it away afterwards.

Whatever can run code is run by its owner. A superuser runs what no ordinary role may make, or what says nothing but who may do what.
None of it calls a function of an ordinary role: it names functions without calling them (operator classes, casts, base types,
languages, C functions), or calls those of a superuser (validators of foreign data wrappers).
"""

import re
from collections.abc import Collection, Iterable

from pgkeeper.postgres.load.entries import Entry

SCHEMAS_AND_EXTENSIONS = ("SCHEMA ", "EXTENSION ", "COMMENT - SCHEMA ", "COMMENT - EXTENSION ")
EVENT_TRIGGERS = ("EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ", "SECURITY LABEL - EVENT TRIGGER ")
PRIVILEGES = ("ACL ", "DEFAULT ACL ")
FOREIGN_KEYS = ("FK CONSTRAINT ",)
TABLES = ("TABLE ", "FOREIGN TABLE ", "MATERIALIZED VIEW ")
_BY_SUPERUSER = (
    *SCHEMAS_AND_EXTENSIONS,
    *EVENT_TRIGGERS,
    *PRIVILEGES,
    "COMMENT ",
    "SECURITY LABEL ",
    "PROCEDURAL LANGUAGE ",
    "CAST ",
    "TRANSFORM ",
    "ACCESS METHOD ",
    "OPERATOR CLASS ",
    "OPERATOR FAMILY ",
    "TEXT SEARCH PARSER ",
    "TEXT SEARCH TEMPLATE ",
    "FOREIGN DATA WRAPPER ",
    "SERVER ",
    "USER MAPPING ",
    "PUBLICATION ",
    "SUBSCRIPTION ",
)
_USED_BY_DEFINITIONS = ("SCHEMA ", "TYPE ", "DOMAIN ", "PROCEDURAL LANGUAGE ",
                        "FOREIGN DATA WRAPPER ", "SERVER ")  # fmt: skip
_ROUTINES = ("FUNCTION ", "PROCEDURE ")
_LANGUAGE = re.compile(rb"\n    (?:TRANSFORM [^\n]*)?LANGUAGE (\"(?:[^\"]|\"\")+\"|[^\s]+)")
_ATTRIBUTES = re.compile(rb"\n    LANGUAGE [^\n]*?\b(?:LEAKPROOF|SUPPORT)\b|\n    SET ")
_BASE_TYPE = re.compile(rb'CREATE TYPE (?:"(?:[^"]|"")+"|[^\s".]+)\.(?:"(?:[^"]|"")+"|[^\s".]+) \(\n')
_INTERNAL_STATE = re.compile(rb"\n    STYPE = internal\b")
_DEFINERS = re.compile(rb"\n    LANGUAGE [^\n]*? SECURITY DEFINER\b")


def superusers_entries(entries: Iterable[Entry], superusers: Collection[str], trusted_languages: Collection[bytes]) -> frozenset[int]:
    """Return the numbers of entries that a superuser runs: those of superusers and of nobody, and what ordinary roles may not make."""
    listed = list(entries)
    chosen = {
        entry.number
        for entry in listed
        if not entry.owner or entry.owner in superusers or entry.is_one_of(_BY_SUPERUSER) or _privileged(entry, trusted_languages)
    }
    # A type is completed by who announced it.
    by_number = {entry.number: entry for entry in listed}
    for entry in listed:
        if entry.number in chosen and entry.is_one_of(("TYPE ",)):
            chosen |= {number for number in entry.after if number in by_number and by_number[number].is_one_of(("SHELL TYPE ",))}
    return frozenset(chosen)


def early_privileges(entries: Iterable[Entry]) -> frozenset[int]:
    """Return the numbers of privileges that must hold before anybody's code runs or anything is defined by what they are for.

    Those for relations come after the data: an owner may have taken rights from itself. So do those for functions that run with their
    caller's rights, since calling them gains nothing: a table may have a CHECK that its owner could not make any more.
    """
    listed = list(entries)
    early = {
        entry.number
        for entry in listed
        if entry.is_one_of(_USED_BY_DEFINITIONS) or (entry.is_one_of(_ROUTINES) and any(_DEFINERS.search(text) for text in entry.bare))
    }
    return frozenset(entry.number for entry in listed if entry.is_one_of(("ACL ",)) and entry.after & early)


def _privileged(entry: Entry, trusted_languages: Collection[bytes]) -> bool:
    """Tell whether only superusers may run the entry's statements, as far as their text tells."""
    if not entry.bare:
        return False
    text = entry.bare[0]
    if entry.is_one_of(_ROUTINES):
        header = text.partition(b"\n    AS ")[0]
        language = _LANGUAGE.search(header)
        return language is None or language[1] not in trusted_languages or bool(_ATTRIBUTES.search(header))
    if entry.is_one_of(("AGGREGATE ",)):
        return bool(_INTERNAL_STATE.search(text))
    return entry.is_one_of(("TYPE ",)) and bool(_BASE_TYPE.match(text))
