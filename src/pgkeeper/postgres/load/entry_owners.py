"""Who runs an entry of the archive: its owner, or a superuser who gives it away afterwards.

Whatever can run code is run by its owner. A superuser runs what no ordinary role may make, or what says nothing but who may do what.
None of it calls a function of an ordinary role: it names functions without calling them (operator classes, casts, base types,
languages, C functions), or calls those of a superuser (validators of foreign data wrappers). A literal of a type that somebody made is a
call: a composite or an array is read where it is parsed, with the CHECKs of its domains.
"""

import re
from collections.abc import Collection, Iterable

from pgkeeper.postgres.load.entries import Entry
from pgkeeper.postgres.load.statement_text import without_texts

SCHEMAS_AND_EXTENSIONS = ("SCHEMA ", "EXTENSION ", "COMMENT - SCHEMA ", "COMMENT - EXTENSION ")
EVENT_TRIGGERS = ("EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ", "SECURITY LABEL - EVENT TRIGGER ")
PRIVILEGES = ("ACL ", "DEFAULT ACL ")
FOREIGN_KEYS = ("FK CONSTRAINT ",)
ROUTINES = ("FUNCTION ", "PROCEDURE ", "AGGREGATE ")
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
_BODY = re.compile(rb"\n    (?:AS |RETURN |BEGIN ATOMIC\n)")
_LANGUAGE = re.compile(rb"\n    (?:TRANSFORM [^\n]*)?LANGUAGE ([^\s]+)")
_ATTRIBUTES = re.compile(rb"\n    (?:TRANSFORM [^\n]*)?LANGUAGE [^\n]*?\b(?:LEAKPROOF|SUPPORT)\b")
_SETTING = re.compile(rb"\n    SET (.+?) TO ")
_LITERAL_OF_A_MADE_TYPE = re.compile(rb"'::[^\s,()\[\]]*\.")
_BASE_TYPE = re.compile(rb'CREATE TYPE (?:"(?:[^"]|"")+"|[^\s".]+)\.(?:"(?:[^"]|"")+"|[^\s".]+) \(\n')
_INTERNAL_STATE = re.compile(rb"\n    STYPE = internal\b")
_DEFINERS = re.compile(rb"\n    (?:TRANSFORM [^\n]*)?LANGUAGE [^\n]*? SECURITY DEFINER\b")
_TRIGGER_FUNCTION = re.compile(rb"CREATE FUNCTION [^\n]*?\(\) RETURNS (?:event_)?trigger\n")


def superusers_entries(
    entries: Iterable[Entry], superusers: Collection[str], trusted_languages: Collection[bytes], settings: Collection[bytes]
) -> frozenset[int]:
    """Return the numbers of entries that a superuser runs: those of superusers and of nobody, and what ordinary roles may not make.

    `trusted_languages`, as they are written in statements, and `settings`, in small letters, are those that everybody may use.
    """
    listed = list(entries)
    chosen = {
        entry.number
        for entry in listed
        if not entry.owner or entry.owner in superusers or entry.is_one_of(_BY_SUPERUSER) or _privileged(entry, trusted_languages, settings)
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
    caller's rights, since calling them gains nothing (a table may have a CHECK that its owner could not make any more), and for trigger
    functions, which a trigger's owner must be allowed when it is made, and perhaps not any more.
    """
    listed = list(entries)
    early = {
        entry.number
        for entry in listed
        if entry.is_one_of(_USED_BY_DEFINITIONS) or (entry.is_one_of(_ROUTINES) and any(map(_is_powerful, entry.bare)))
    }
    return frozenset(entry.number for entry in listed if entry.is_one_of(("ACL ",)) and entry.after & early)


def _is_powerful(statement: bytes) -> bool:
    """Tell whether a function made by the statement runs with its owner's rights for whoever calls it. Triggers' cannot be called."""
    return bool(_DEFINERS.search(statement)) and not _TRIGGER_FUNCTION.match(without_texts(statement))


def _privileged(entry: Entry, trusted_languages: Collection[bytes], settings: Collection[bytes]) -> bool:
    """Tell whether only superusers may run the entry's statements, as far as their text tells, and nothing in them runs when it is read."""
    if not entry.bare:
        return False
    text = entry.bare[0]
    said = without_texts(text)
    if entry.is_one_of(_ROUTINES):
        return _is_privileged_routine(text, said, trusted_languages, settings) and not _LITERAL_OF_A_MADE_TYPE.search(said)
    if entry.is_one_of(("AGGREGATE ",)):
        return bool(_INTERNAL_STATE.search(said)) and b"INITCOND = " not in said
    return entry.is_one_of(("TYPE ",)) and bool(_BASE_TYPE.match(text))


def _is_privileged_routine(text: bytes, said: bytes, trusted_languages: Collection[bytes], settings: Collection[bytes]) -> bool:
    body = _BODY.search(said)
    header = said[: body.start()] if body else said
    language = _LANGUAGE.search(header)
    if language is None or text[slice(*language.span(1))] not in trusted_languages or _ATTRIBUTES.search(header):
        return True
    return any(text[slice(*found.span(1))].strip(b'"').lower() not in settings for found in _SETTING.finditer(header))
