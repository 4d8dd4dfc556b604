"""A script of pg_dumpall's is whole if its last line is there."""

from __future__ import annotations

import pytest

from pgvow.postgres.globals import is_whole

_BODY = b"--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE a;\n\n"
_END = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"


@pytest.mark.parametrize(
    "script",
    [
        _BODY + _END,
        b"\\restrict abc\n" + _BODY + _END + b"\\unrestrict abc\n\n",
        b"\\restrict abc\n" + _BODY + b"\\unrestrict abc\n\n" + _END,
    ],
)
def test_a_script_with_its_last_line_is_complete(script: bytes) -> None:
    """Older and newer minors end with the same words, with or without a restriction around."""
    assert is_whole(script)
    cut_at_every_byte = [is_whole(script[:end]) for end in range(len(script.rstrip(b"\n-")))]
    assert not any(cut_at_every_byte)


@pytest.mark.parametrize(
    "script",
    [b"", _BODY, _END + b"CREATE ROLE b;\n", b"\\restrict abc\n" + _BODY + _END],
)
def test_a_script_without_its_last_line_is_incomplete(script: bytes) -> None:
    """Nothing, a half, more behind the end, or a restriction that is not lifted: not whole."""
    assert not is_whole(script)
