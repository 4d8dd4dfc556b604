"""Text for psql's lexer is plain under every encoding and setting, and means the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from pgvow.postgres.psql_text import for_psql, plain
from tests.support.hostile import catalog

_SURROGATES = ("Cs",)
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=_SURROGATES), min_size=1)
_CANNOT_DESYNC = re.compile(rb"(?:[A-Za-z0-9_ .,()*=<>!+&-]|\"[A-Za-z0-9_ !+]*\"|'[^'\\:\n]*')*")
_ESCAPE = re.compile(r"!\+([0-9a-f]{6})")
_LOCK = "LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT"


def _statement(name: str) -> str:
    return sql.SQL(_LOCK).format(sql.Identifier("public", name)).as_string(None)


@given(_NAMES)
def test_any_name_is_escaped_and_decodes_to_itself(name: str) -> None:
    """A name reaches psql as letters, digits and escapes within quotes, and undoes to itself."""
    text = plain(_statement(name))
    assert text is not None
    assert _CANNOT_DESYNC.fullmatch(text.encode("ascii"))
    (shown,) = re.findall(r'public"\.(?:U&)?"([^"]*)"', text)
    assert name == _ESCAPE.sub(lambda one: chr(int(one[1], 16)), shown)


@pytest.mark.parametrize("kind", catalog.NAMES)
def test_hostile_names_are_escaped_and_decode_to_themselves(kind: str) -> None:
    """And so does every name of the hostile catalog."""
    assert _CANNOT_DESYNC.fullmatch(for_psql(_statement(catalog.NAMES[kind])).rstrip(b"\n;"))


@given(st.text(st.characters(exclude_categories=_SURROGATES)))
def test_any_statement_text_is_plain_to_psql(text: str) -> None:
    """Whatever stands in a statement, psql reads plain text, or digits alone."""
    sent = for_psql(f"COPY (SELECT FROM t {text}) TO STDOUT")
    decoded = re.sub(rb"decode\('[0-9a-f]*'", b"decode('ff'", sent)
    lines = decoded.removesuffix(b"\n").replace(b" \\gexec", b"").replace(b"\n;", b"")
    assert _CANNOT_DESYNC.fullmatch(lines), sent


def test_sql_ascii_bytes_are_kept_or_escaped() -> None:
    """In SQL_ASCII a name's bytes have no code points and stay; psql's characters are escaped."""
    assert "U&\"\xe9!+00000a!+00005c!+000021\" UESCAPE '!'" == plain('"\xe9\n\\!"', unknown=True)
