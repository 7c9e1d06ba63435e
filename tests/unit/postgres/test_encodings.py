"""Encodings."""

import codecs

import pytest

from pgkeeper.postgres.encodings import codec, decode_name

# PostgreSQL's server encodings that Python has codecs for.
KNOWN = (
    "EUC_CN EUC_JP EUC_JIS_2004 EUC_KR ISO_8859_5 ISO_8859_6 ISO_8859_7 ISO_8859_8 KOI8R KOI8U LATIN1 LATIN2 LATIN3 LATIN4 LATIN5 LATIN6"
    " LATIN7 LATIN8 LATIN9 LATIN10 SQL_ASCII UTF8 WIN866 WIN874 WIN1250 WIN1251 WIN1252 WIN1253 WIN1254 WIN1255 WIN1256 WIN1257 WIN1258"
)


@pytest.mark.parametrize("encoding", KNOWN.split())
def test_every_server_encoding_has_its_codec(encoding: str) -> None:
    assert codecs.lookup(codec(encoding))


def test_names_are_decoded_and_invalid_bytes_escaped() -> None:
    assert decode_name("größe".encode("latin1"), "LATIN1") == "größe"
    assert decode_name(b"a\xff", "SQL_ASCII") == "a\\xff"
    assert decode_name("Ł".encode("iso8859-2"), "LATIN2") == "Ł"
