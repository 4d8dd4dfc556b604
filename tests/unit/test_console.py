"""Whatever is printed, no text of it is obeyed by a terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.table import Table
from rich.text import Text

from pgvow.cli.console import EscapingConsole
from tests.support.hostile import catalog


@pytest.mark.parametrize("kind", catalog.NAMES)
def test_unescaped_names_are_escaped_by_the_console(kind: str) -> None:
    """A name that a renderer forgot to escape is escaped at the border, in any renderable."""
    name = catalog.NAMES[kind]
    table = Table()
    table.add_column(name)
    table.add_row(Text(name, style="red"))
    console = EscapingConsole(file=io.StringIO(), width=200, markup=False)
    console.print(name, Text(name), table)
    assert isinstance(console.file, io.StringIO)
    assert [] == re.findall(catalog.OBEYED, console.file.getvalue())


def test_colours_of_rich_are_kept() -> None:
    """What rich itself writes to colour a text is no text."""
    console = EscapingConsole(file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text("a\x1b[2Jb", style="red"))
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[31ma\\x1b[2Jb\x1b[0m\n" == console.file.getvalue()
