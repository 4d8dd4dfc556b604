"""The queries in files: one each, with a comment on its result, and sendable to any database."""

from __future__ import annotations

from pathlib import Path

import pytest

import pgvow.postgres.sql

_FILES = sorted(Path(pgvow.postgres.sql.__file__).parent.glob("*.sql"))


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_a_file_is_one_commented_query_in_ascii(path: Path) -> None:
    """A query is sent with its comment, and a LATIN1 or SQL_ASCII database takes only ASCII."""
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    assert text.startswith("-- ")
    assert ";" not in "".join(line for line in text.splitlines() if not line.startswith("--"))


def test_the_package_has_queries() -> None:
    """The glob finds what the package ships."""
    assert len(_FILES) > 5
