"""Run pgvow on a day that is always the same, on a disk that always has the same space.

A program: its arguments are those of ``pgvow``. Clock and free space are replaced, and no
bar is drawn, whose steps depend on time; everything else is the program's own.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial

from pgvow.cli import call, console, main
from pgvow.operations.context import Context
from pgvow.spool import Spool

_NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
_FREE = 74_000_000_000


if __name__ == "__main__":
    call.Context = partial(Context, clock=lambda: _NOW)  # type: ignore[misc, assignment]
    Spool.free_bytes = lambda _spool: _FREE  # type: ignore[method-assign]
    console._bar_on_terminal = lambda: None
    sys.exit(main())
