"""What is said in a statement of a dump, apart from what people wrote into it.

A literal or a quoted name may hold any text, also what looks like a part of the statement. Neither pg_dump nor the server's own printing
of definitions ever writes a quote into a literal otherwise than twice.
"""

import re

_BODY = rb"\$((?:[A-Za-z_][A-Za-z0-9_]*)?)\$.*?\$\1\$"
_LITERAL = rb"'(?:[^']|'')*'"
_NAME = rb'"(?:[^"]|"")*"'
_WRITTEN = re.compile(b"|".join((_BODY, _LITERAL, _NAME)), re.DOTALL)


def without_texts(statement: bytes, *, names: bool = True) -> bytes:
    """Return the statement with everything between quotes replaced by as many x; quoted names only with `names`."""

    def filled(found: re.Match[bytes]) -> bytes:
        text = found[0]
        if text.startswith(b'"') and not names:
            return text
        return text[:1] + b"x" * (len(text) - 2) + text[-1:]

    return _WRITTEN.sub(filled, statement)
