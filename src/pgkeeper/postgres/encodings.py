"""PostgreSQL's server encodings and the Python codecs that read them.

PostgreSQL documentation, "Character Set Support", table of server encodings.
"""

_CODECS = {
    "UTF8": "utf-8",
    "SQL_ASCII": "utf-8",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "EUC_CN": "gb2312",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
    "LATIN5": "iso8859-9",
    "WIN874": "cp874",
}


def codec(encoding: str) -> str:
    """Return the Python codec for a server encoding's name.

    Encodings without one (EUC_TW, MULE_INTERNAL) are read as UTF-8, so their non-ASCII names appear escaped; their data is never decoded.
    """
    if encoding in _CODECS:
        return _CODECS[encoding]
    if encoding.startswith("LATIN"):
        return f"iso8859-{encoding[5:]}"
    if encoding.startswith("ISO_8859_"):
        return f"iso8859-{encoding[9:]}"
    if encoding.startswith("WIN"):
        return f"cp{encoding[3:]}"
    return "utf-8"


def decode_name(name: bytes, encoding: str) -> str:
    r"""Return an identifier as text; bytes that are invalid in `encoding` (possible in SQL_ASCII) appear as `\xNN`."""
    return name.decode(codec(encoding), "backslashreplace")
