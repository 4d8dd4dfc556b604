"""``pgvow schema``: the JSON Schema of what a command prints with ``--json``."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report

_TEXT = """\
Print the JSON Schema (2020-12) of the objects that a command prints with --json; each names it in
"schema". A command that lists prints an array of them, or with --jsonl a line for each. error is
the schema of a failure, whatever the command. Keys may be added; none changes its meaning under
one number.
"""


def add_schema(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    schema = commands.add_parser("schema", description=_TEXT)
    schema.add_argument("what", choices=names(), metavar="COMMAND", help=", ".join(names()))


def names() -> list[str]:
    """Return the names of the schemas."""
    folder = files("pgvow.cli").joinpath("schemas")
    return sorted(path.name.removesuffix(".json") for path in folder.iterdir())


def run(arguments: argparse.Namespace, _report: Report) -> int:
    """Print a schema; returns the exit code."""
    path = files("pgvow.cli").joinpath("schemas", f"{arguments.what}.json")
    print(path.read_text("utf-8"), end="")
    return 0
