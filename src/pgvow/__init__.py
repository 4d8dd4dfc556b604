"""pgvow: PostgreSQL backups that prove they will come back.

From Python: ``open_context``, ``backup``, ``list``, ``verify``, ``prove`` and ``restore``, see
``pgvow.api``, which is imported when one of them is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgvow.api import (
        BackupOptions,
        Context,
        ProveOptions,
        RestoreOptions,
        backup,
        backup_options,
        list,  # noqa: A004 - as the command
        open_context,
        prove,
        restore,
        verify,
    )

__version__ = "0.1.0"
DEFAULT_DIRECTORY = "db/backups"
"""Where backups are when nobody says otherwise, below the working directory."""
__all__ = [
    "BackupOptions",
    "Context",
    "ProveOptions",
    "RestoreOptions",
    "backup",
    "backup_options",
    "list",
    "open_context",
    "prove",
    "restore",
    "verify",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in __all__:
            return getattr(import_module("pgvow.api"), name)  # --help does not need it
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
