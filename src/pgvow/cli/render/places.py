"""How backups are named that lie in one directory or in several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pgvow.cli.console import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path


def namer(paths: Iterable[Path]) -> Callable[[Path], str]:
    """Return what names a file: without its directory, if all lie in the same one."""
    if len({path.parent for path in paths}) > 1:
        return lambda path: printable(str(path))
    return lambda path: printable(path.name)


def none_in(directories: Sequence[Path]) -> Text:
    """Render that there are no backups."""
    return Text(f"No backups in {', '.join(printable(str(one)) for one in directories)}")
