"""The queries, one a file, each runnable by hand in psql."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import LiteralString


@cache
def query(name: str) -> LiteralString:
    """Return the text of ``name.sql``: ours, shipped in the package, and so a literal."""
    text: LiteralString = files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return text
