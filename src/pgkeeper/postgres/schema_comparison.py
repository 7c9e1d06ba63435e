"""Comparing what two dumps say about a schema, knowing that PostgreSQL's printing is not idempotent.

`CHECK (kind IN ('a', 'b'))` on a varchar column is printed as `ANY ((ARRAY['a'::character varying, …])::text[])`, and after a dump and a
load as `ANY (ARRAY[('a'::character varying)::text, …])`; the same happens in indexes, views, policies and wherever else expressions are
printed. Which of a backup's statements come back differently is not guessed: a fresh, empty load of the backup's own schema shows it.
"""

from collections import Counter
from collections.abc import Callable

from pgkeeper.postgres.statements import statement_words

_MOST_NAMED = 3
Statements = Counter[bytes]


def schema_differences(promised: Statements, found: Statements, reprinted: Callable[[], Statements] | None = None) -> tuple[str, ...]:
    """Return for people which statements only one of two dumps has, the first few of each; nothing when they say the same.

    `reprinted` returns the statements that a database prints into which nothing but the promised schema was loaded; it is only called when
    something differs. A statement that differs is right when it is what such a database prints, and when a promised one about
    the same object is not what it prints.
    """
    lost, strange = promised - found, found - promised
    if reprinted is not None and _about(lost) == _about(strange) and lost:
        again = reprinted()
        lost = Counter({text: count for text, count in lost.items() if again[text] != found[text]})
        strange = Counter({text: count for text, count in strange.items() if again[text] != found[text]})
    lines = []
    for what, statements in (("missing", lost), ("not promised", strange)):
        lines += [f"{what}: {words}" for words in list(_about(statements))[:_MOST_NAMED]]
    return tuple(lines)


def _about(statements: Statements) -> Counter[str]:
    """Return how the statements begin: which object each is about."""
    about: Counter[str] = Counter()
    for text, count in statements.items():
        about[statement_words(text.decode("utf-8", "replace"))] += count
    return about
