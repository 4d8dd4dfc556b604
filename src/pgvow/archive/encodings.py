"""Which of Python's codecs reads the texts of an archive."""

from __future__ import annotations

import re

# PostgreSQL's names, where they are not Python's by taking out "_".
_CODECS = {
    "BIG5": "big5",
    "EUC_CN": "gb2312",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO_8859_5": "iso8859_5",
    "ISO_8859_6": "iso8859_6",
    "ISO_8859_7": "iso8859_7",
    "ISO_8859_8": "iso8859_8",
    "JOHAB": "johab",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "LATIN1": "iso8859_1",
    "LATIN2": "iso8859_2",
    "LATIN3": "iso8859_3",
    "LATIN4": "iso8859_4",
    "LATIN5": "iso8859_9",
    "LATIN6": "iso8859_10",
    "LATIN7": "iso8859_13",
    "LATIN8": "iso8859_14",
    "LATIN9": "iso8859_15",
    "LATIN10": "iso8859_16",
    "SHIFT_JIS_2004": "shift_jis_2004",
    "SJIS": "cp932",
    "UHC": "cp949",
    "UTF8": "utf-8",
    "WIN866": "cp866",
    "WIN874": "cp874",
} | {f"WIN{page}": f"cp{page}" for page in range(1250, 1259)}

_CLIENT_ENCODING = re.compile(r"client_encoding = '(\w+)'")

FALLBACK = "utf-8"


def named_in(definition: str) -> str | None:
    """Return the encoding's name from the text of an ENCODING entry."""
    match = _CLIENT_ENCODING.search(definition)
    return match[1] if match else None


def codec_for(encoding: str) -> str:
    """Return the codec for PostgreSQL's name of an encoding.

    Those that Python does not know, SQL_ASCII among them, are read as UTF-8; bytes that are none
    become surrogates, and so are neither lost nor an error.
    """
    return _CODECS.get(encoding.upper(), FALLBACK)
