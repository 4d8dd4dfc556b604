"""``python -m pgvow``."""

from __future__ import annotations

import sys

from pgvow.cli import main

sys.exit(main())
