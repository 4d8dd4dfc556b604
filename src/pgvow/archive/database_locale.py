"""The locale that the archived database had, from the statement that would make it again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgvow.archive.toc import TableOfContents

_NAME = re.compile(r'CREATE DATABASE (?:"(?:[^"]|"")*"|\S+) ')  # which may look like an option
_OPTION = re.compile(r"\b([A-Z_]+) = ('(?:[^']|'')*'|[A-Za-z_]\w*)")
_OF_LOCALE = frozenset(
    {
        "LOCALE_PROVIDER",
        "LOCALE",
        "LC_COLLATE",
        "LC_CTYPE",
        "ICU_LOCALE",
        "ICU_RULES",
        "BUILTIN_LOCALE",
    }
)


def database_locale(toc: TableOfContents) -> dict[str, str]:
    """Return the options of CREATE DATABASE that say the locale; none where there is no entry."""
    statement = next((entry.defn for entry in toc.entries if entry.desc == "DATABASE"), "")
    name = _NAME.match(statement)
    return {
        name: value[1:-1].replace("''", "'") if value.startswith("'") else value
        for name, value in _OPTION.findall(statement, name.end() if name else 0)
        if name in _OF_LOCALE
    }
