#!/usr/bin/env python3
"""Back up, verify and list the databases described in .env files. See README.md."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

NEEDED = {
    "backports-zstd": "backports" if sys.version_info < (3, 14) else "compression",
    "cronsim": "cronsim",
    "isal": "isal",
    "lz4": "lz4",
    "psycopg": "psycopg",
    "python-dotenv": "dotenv",
    "rich": "rich",
    "rich-argparse": "rich_argparse",
    "xxhash": "xxhash",
    "zlib-ng": "zlib_ng",
}
"""What pyproject.toml lists, and the module by which each is known."""

for _name, _module in NEEDED.items():
    if find_spec(_module) is None:
        sys.exit(
            f"backup_db.py needs {_name}, which is not installed: run"
            " `python3 -m pip install .` in this folder (or `make setup`, then"
            " `.venv/bin/python backup_db.py`)"
        )

from pgvow.cli import contract_main  # noqa: E402 - what is missing is said first, in one line

if __name__ == "__main__":
    sys.exit(contract_main())
