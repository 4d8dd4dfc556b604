"""The command line: parse, call, report, exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pgvow.cli.app import run
from pgvow.cli.parser import parse_contract, parse_pgvow

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pgvow``; returns the exit code."""
    return run(lambda: parse_pgvow(sys.argv[1:] if argv is None else argv))


def contract_main(argv: Sequence[str] | None = None) -> int:
    """Run ``backup_db.py``, the contract's face of the same commands; returns the exit code."""
    return run(lambda: parse_contract(sys.argv[1:] if argv is None else argv))
