#!/usr/bin/env python3
"""Back up, verify and list the databases described in .env files. See README.md."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

for _library in ("psycopg", "dotenv", "rich", "rich_argparse", "xxhash"):
    if find_spec(_library) is None:
        sys.exit(
            f"backup_db.py needs {_library}, which is not installed: run"
            " `python3 -m pip install .` in this folder (or `make setup`, then"
            " `.venv/bin/python backup_db.py`)"
        )

from pgvow.cli import contract_main  # noqa: E402 - what is missing is said first, in one line

if __name__ == "__main__":
    sys.exit(contract_main())
