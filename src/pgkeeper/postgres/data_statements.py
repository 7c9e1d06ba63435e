"""The statements by which a dump carries data beside COPY: positions of sequences, and large objects.

pg_dump writes each in one form only (`dumpSequenceData` and `dumpLOs` in pg_dump.c, `StartRestoreLO` and `dump_lo_buf` in
pg_backup_archiver.c). They are taken by the whole of that form: what only begins like one could call any function besides.
"""

import re

from pgkeeper.model.errors import IntegrityError

SETVAL = re.compile(rb"SELECT pg_catalog\.setval\('((?:[^']|'')*+)', (-?\d+), (true|false)\);", re.DOTALL)
LO_OPEN = re.compile(rb"SELECT pg_catalog\.lo_open\('(\d+)', \d+\);")
LOWRITE = re.compile(rb"SELECT pg_catalog\.lowrite\(0, '\\{1,2}x([0-9a-f]*+)'\);")
_FORMS = {
    b"setval": SETVAL,
    b"lo_create": re.compile(rb"SELECT pg_catalog\.lo_create\('\d+'\);"),
    b"lo_open": LO_OPEN,
    b"lowrite": LOWRITE,
    b"lo_close": re.compile(rb"SELECT pg_catalog\.lo_close\(0\);"),
    b"set_config": re.compile(rb"SELECT pg_catalog\.set_config\('search_path', '', false\);"),
}
_SELECT = re.compile(rb"(?i:SELECT)\b(?: pg_catalog\.(\w+)\()?")
SEQUENCE_VALUE = b"setval"
LARGE_OBJECT_DATA = (b"lo_open", b"lowrite", b"lo_close")
LARGE_OBJECT = (b"lo_create", *LARGE_OBJECT_DATA)
LARGE_OBJECT_STATEMENT = re.compile(b"|".join(_FORMS[name].pattern for name in LARGE_OBJECT))


def called(text: bytes) -> bytes:
    """Return the function that a statement of a dump calls, b"" where it is no SELECT.

    Raises IntegrityError for a SELECT that pg_dump does not write.
    """
    found = _SELECT.match(text)
    if found is None:
        return b""
    name = found[1] or b""
    if name not in _FORMS or not _FORMS[name].fullmatch(text):
        raise IntegrityError("the dump cannot be understood", "a SELECT in it is none of those that pg_dump writes")
    return name
