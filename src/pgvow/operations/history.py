"""The runs of a directory, as its history has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.runs import Operation
from pgvow.store.history import History, Read

if TYPE_CHECKING:
    from pathlib import Path


def read_history(directory: Path, *, operation: str | None, environment: str | None) -> Read:
    """Read the runs of a directory, newest first, of one operation or environment if it is named.

    Raises ConfigurationError for an unknown operation, AccessDenied or PgvowError if the history
    cannot be read.
    """
    if operation is not None and operation not in list(Operation):
        known = ", ".join(Operation)
        raise ConfigurationError(f"{operation!r} is no operation", steps=[f"One of: {known}"])
    history = History(directory).read()
    runs = [
        run
        for run in reversed(history.runs)
        if environment in (None, run.environment) and operation in (None, run.operation)
    ]
    return Read(tuple(runs), history.broken)
