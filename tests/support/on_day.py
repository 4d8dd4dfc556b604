"""Run pgvow at a moment of a story: its first argument, ISO 8601; the others are pgvow's.

The clock starts there and goes on. Everything else is the program's own.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from functools import partial

from pgvow import api
from pgvow.cli import call, main
from pgvow.operations.context import Context

if __name__ == "__main__":
    moment = datetime.fromisoformat(sys.argv.pop(1))
    began = time.monotonic()

    def clock() -> datetime:
        """Return the moment, and what has passed since this program began."""
        return moment + timedelta(seconds=time.monotonic() - began)

    call.Context = api.Context = partial(Context, clock=clock)  # type: ignore[misc, assignment]
    sys.exit(main())
