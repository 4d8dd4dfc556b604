"""Fold the lines of a report between words, if the terminal is narrower than they are."""

from __future__ import annotations

import re
import textwrap

from rich.cells import cell_len
from rich.text import Text

_WORD = re.compile(r"→ pgvow .*|(?<=: )(?:pgvow|pg_restore|createdb|psql|python3) .*|\S+")
_HEAD = re.compile(r"\s*(?:[✓✗!+~-] |\d+\. |\d+ {2,}|[\w ]{1,16}: +)?")
_COMMAND = re.compile(r"\s+(?:pgvow|pg_restore|createdb|psql|python3) ")
_MOST_INDENTED = 0.5
"""Share of the width that the indentation of a folded line may take."""


def folded(text: Text, width: int) -> Text:
    """Fold every line that is too long, indented as its text is; a name and a command stay whole.

    A name that is broken in two can neither be read nor copied.
    """
    if all(cell_len(line) <= width for line in text.plain.split("\n")):
        return text
    lines = [_folded(line, width) for line in text.split("\n", allow_blank=True)]
    result = Text("\n", style=text.style, end=text.end).join(lines)
    result.end = text.end
    return result


def _folded(line: Text, width: int) -> Text:
    plain = line.plain
    if cell_len(plain) <= width or _COMMAND.match(plain):
        return line
    indent = cell_len(head[0]) if (head := _HEAD.match(plain)) else 0
    if indent > width * _MOST_INDENTED:
        indent = 2
    breaks, start, taken = [], 0, 0
    for word in _WORD.finditer(plain, indent):
        if word.start() > indent and taken + cell_len(plain[start : word.end()]) > width:
            start, taken = word.start(), indent
            breaks.append(start)
    parts = list(line.divide(breaks))
    for part in parts:
        part.rstrip()
    return Text("\n" + " " * indent).join(parts)


def wrapped(text: str, width: int) -> list[str]:
    """Fold a line between words; a name longer than the line stays whole."""
    return textwrap.wrap(
        text,
        max(width, 1),
        break_long_words=False,
        break_on_hyphens=False,
    )
