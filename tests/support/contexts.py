"""The context of an operation that a test calls by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.operations.context import Context, utc_now
from pgvow.progress import Reporter
from pgvow.settings import Configuration
from tests.support.commands import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pgvow.progress import Progress


def a_context(
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    *,
    now: datetime | None = None,
    directory: Path = Path(),
) -> Context:
    """Return a context without settings; by default with a user's bare environment, silent.

    With ``now`` its clock stands still. ``directory`` is where its files are.
    """
    environ = clean_environment() if environ is None else environ
    clock = utc_now if now is None else lambda: now
    return Context(
        Configuration(),
        environ,
        directory=directory,
        clock=clock,
        reporter=Reporter(progress),
    )
