"""Write docs/reference/commands.md from the parser: ``make reference``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.cli.arguments import EXIT_CODES
from pgvow.cli.commands import COMMANDS
from pgvow.cli.parser import build_contract_parser, build_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/commands.md"
SCHEMAS = ROOT / "src/pgvow/cli/schemas"
_HEAD = """\
# Commands

Written by `make reference` from the code that reads the command line: change it there.

`pgvow COMMAND --help` prints the same. An option that is typed counts before
[`pgvow.toml`](../configuration.md), the file before the default. The keys of JSON are in
`pgvow schema COMMAND` ([for programs](../json.md)); the [exit codes](../exit-codes.md) are the same
for every command.
"""
_MARKUP = re.compile(r"([\\`*<>|\[\]])")


def reference() -> str:
    """Make the page."""
    return "\n".join([_HEAD, *_contents(), *_commands(), *_contract()])


def _contents() -> Iterator[str]:
    yield "| command | |"
    yield "|---|---|"
    for name, command in COMMANDS.items():
        yield f"| [`pgvow {name}`](#pgvow-{name}) | {_escaped(command.help)} |"
    yield ""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    actions = build_parser()._actions  # noqa: SLF001 - argparse has no other way to list them
    (commands,) = (action.choices for action in actions if isinstance(action.choices, dict))
    return commands


def _commands() -> Iterator[str]:
    for name, command in parsers().items():
        yield f"## pgvow {name}\n"
        yield from _body(command)
        if (SCHEMAS / f"{name}.json").exists():
            yield f"`--json` is described by `pgvow schema {name}`.\n"


def _contract() -> Iterator[str]:
    yield "## backup_db.py\n"
    yield from _body(build_contract_parser())


def _body(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield _escaped(parser.description or "") + "\n"
    examples = (parser.epilog or "").removesuffix(EXIT_CODES).removeprefix("examples:\n")
    yield "```text\n" + re.sub("(?m)^  ", "", examples.rstrip()) + "\n```\n"
    for group in parser._action_groups:  # noqa: SLF001
        rows = [*_rows(parser, group)]
        if rows:
            yield "\n".join([f"| {group.title} | |", "|---|---|", *rows, ""])


def _rows(parser: argparse.ArgumentParser, group: argparse._ArgumentGroup) -> Iterator[str]:
    formatter = argparse.HelpFormatter(parser.prog)
    for action in group._group_actions:  # noqa: SLF001
        if action.help != argparse.SUPPRESS and action.dest not in {"help", "version"}:
            meaning = formatter._expand_help(action) if action.help else ""  # noqa: SLF001
            yield f"| {_spelled(action)} | {_escaped(meaning)} |"


def _spelled(action: argparse.Action) -> str:
    """Return an option's spellings and the words it takes, as code."""
    if not action.option_strings:
        return f"`{_value(action)}`"
    value = "" if action.nargs == 0 else " " + _value(action)
    return ", ".join(f"`{spelling}{value}`" for spelling in action.option_strings)


def _value(action: argparse.Action) -> str:
    """Return the name of an option's value; a bar in a table's cell is escaped, in code too."""
    listed = "|".join(map(str, action.choices or ()))
    name = str(action.metavar or listed or action.dest.upper())
    return name.strip("{}").replace(",", "|").replace("|", r"\|")


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text.strip()).replace("$", r"\$")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")
