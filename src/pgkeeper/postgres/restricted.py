r"""The psql commands of a dump: `\restrict` with a key, and its end with the same key, and nothing else.

pg_dump and pg_restore print both since 2025 (CVE-2025-8714); between them psql runs no other command. Any other one (`\!`, `\connect`,
`\copy`) is somebody else's, and `zcat … | psql` would run it.
"""

import re

from pgkeeper.model.errors import IntegrityError

_COMMAND = re.compile(rb"\\(un)?restrict ([A-Za-z0-9]+)\r?\n?")


class Restricted:
    """Takes the psql commands of one dump in their order."""

    def __init__(self) -> None:
        self._key: bytes | None = None
        self._over = False

    def take(self, command: bytes) -> None:
        """Take the next command, with its line's end. Raises IntegrityError where pg_dump would not have written it."""
        found = _COMMAND.fullmatch(command)
        if found is None:
            raise IntegrityError("the dump cannot be understood", "a psql command stands between its statements")
        ends = found[1] is not None
        if self._over or ends is (self._key is None) or (ends and found[2] != self._key):
            raise IntegrityError("the dump cannot be understood", "a psql command stands where pg_dump writes none")
        self._key, self._over = found[2], ends
