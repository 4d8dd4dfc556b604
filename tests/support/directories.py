"""List a directory of backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.store.history import NAME

if TYPE_CHECKING:
    from pathlib import Path


def left_in(directory: Path) -> list[Path]:
    """List the files of a directory, hidden ones too; the history of its runs is none of them."""
    return sorted(path for path in directory.iterdir() if path.name != NAME)
