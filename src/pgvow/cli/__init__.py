"""The command line: parse, call, report, exit code.

A shell asks for words at each tab: for those nothing is imported that draws or parses.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS = (["completion", "backups"], ["completion", "environments"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pgvow``; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv in _WORDS:
        code: int = import_module("pgvow.cli.shell_words").print_words(argv[1])
        return code
    return _run("parse_pgvow", argv)


def contract_main(argv: Sequence[str] | None = None) -> int:
    """Run ``backup_db.py``, the contract's face of the same commands; returns the exit code."""
    return _run("parse_contract", list(sys.argv[1:] if argv is None else argv))


def _run(parser: str, argv: Sequence[str]) -> int:
    parse = getattr(import_module("pgvow.cli.parser"), parser)
    code: int = import_module("pgvow.cli.app").run(lambda: parse(argv))
    return code
