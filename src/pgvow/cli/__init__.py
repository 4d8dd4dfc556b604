"""What a person types: parse, call, render, exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pgvow``; returns the exit code."""
    from pgvow.cli.app import run  # noqa: PLC0415
    from pgvow.cli.parser import parse_pgvow  # noqa: PLC0415 - --help must not load libraries

    return run(lambda: parse_pgvow(sys.argv[1:] if argv is None else argv))


def contract_main(argv: Sequence[str] | None = None) -> int:
    """Run ``backup_db.py``, the contract's face of the same commands; returns the exit code."""
    from pgvow.cli.app import run  # noqa: PLC0415
    from pgvow.cli.contract import parse_contract  # noqa: PLC0415 - see main

    return run(lambda: parse_contract(sys.argv[1:] if argv is None else argv))
