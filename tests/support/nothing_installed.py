"""``pgvow`` on a machine without PostgreSQL: run as ``python -m``, with a PATH that has none."""

from __future__ import annotations

import sys

from pgvow.cli import main
from pgvow.postgres import binaries

if __name__ == "__main__":
    binaries.KEPT_APART = ()  # where this machine's distribution keeps its own
    sys.exit(main())
