"""The bar shows the amount, whatever the text of the phase."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from pgvow.cli.bar import make_bar

_MB = 1_000_000


def drawn(columns: int, detail: str, total: int | None) -> str:
    """Draw it once, on a terminal of so many columns."""
    console = Console(width=columns, file=io.StringIO(), force_terminal=True, color_system=None)
    bar = make_bar(console)
    bar.add_task("Dumping", total=total, completed=12 * _MB, detail=detail)
    with console.capture() as captured:
        console.print(bar.get_renderable())
    return captured.get()


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_bar_shows_amount_and_table_on_one_line(columns: int) -> None:
    """Both, on one line; a long name is cut to fit."""
    lines = drawn(columns, "75 % of a_table_with_quite_a_long_name_for_a_line", 34 * _MB)
    assert 1 == lines.count("\n"), lines
    assert re.search(r"12\.0/34\.0 MB  75 % of a_.*…", lines), lines
    assert "0:0" in lines or "-:--:--" in lines


def test_a_narrow_terminal_shows_the_amount_first() -> None:
    """The amount comes first."""
    assert "12.0/34.0 MB" in drawn(66, "75 % of orders", 34 * _MB)


def test_a_phase_without_amount_shows_its_words() -> None:
    """Where nothing is counted they are all there is."""
    assert "1,000 of 20,000 messages" in drawn(100, "1,000 of 20,000 messages", None)
