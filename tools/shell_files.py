"""Write the completion scripts and the manual's page from the parser: ``make reference``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import shtab
from argparse_manpage.manpage import Manpage

from pgvow.cli.arguments import path
from pgvow.cli.commands.completion import SCRIPTS
from pgvow.cli.parser import build_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
MANUAL = ROOT / "docs/pgvow.1"
SCRIPT_FOLDER = ROOT / "src/pgvow/cli/completion_scripts"

_ASKED = {
    "bash": """\
# Words that pgvow knows: names of backups, environments. Without pgvow there are none.
_pgvow_words() { compgen -W "$(pgvow completion "$1" 2>/dev/null)" -- "$2"; }
_pgvow_backups() { _pgvow_words backups "$1"; compgen -f -X '!*.dump' -- "$1"; compgen -d -- "$1"; }
_pgvow_environments() { _pgvow_words environments "$1"; }
""",
    "zsh": """\
# Words that pgvow knows: names of backups, environments. Without pgvow there are none.
_pgvow_backups() {
  compadd -- ${(f)"$(pgvow completion backups 2>/dev/null)"}
  _files -g '*.dump'
}
_pgvow_environments() { compadd -- ${(f)"$(pgvow completion environments 2>/dev/null)"} }
""",
    "fish": "",
}
_BACKUPS = {
    "bash": "_pgvow_backups",
    "zsh": "_pgvow_backups",
    "fish": "(pgvow completion backups 2>/dev/null; __fish_complete_suffix .dump)",
}
_ENVIRONMENTS = {
    "bash": "_pgvow_environments",
    "zsh": "_pgvow_environments",
    "fish": "(pgvow completion environments 2>/dev/null)",
}
_BACKUP_METAVARS = {"A", "B", "NAME"}


def script(shell: str) -> str:
    """Make the completion script of a shell."""
    parser = build_parser()
    for action in _actions(parser):
        if words := _words_of(action):
            action.complete = words  # type: ignore[attr-defined]
    made = shtab.complete(parser, shell, preamble=_ASKED[shell])
    return re.sub(r"[ \t]+$", "", made, flags=re.MULTILINE).rstrip("\n") + "\n"


def _words_of(action: argparse.Action) -> dict[str, str] | None:
    if not action.option_strings and action.metavar in _BACKUP_METAVARS:
        return _BACKUPS
    if action.dest == "env":
        return _ENVIRONMENTS
    if action.dest == "output_dir":
        return shtab.DIRECTORY
    return shtab.FILE if action.type is path else None


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        yield action
        if isinstance(action.choices, dict):  # the commands
            for command in action.choices.values():
                yield from _actions(command)


_AS_IT_STANDS, _FILLED = "\n@nf@\n", "\n@fi@\n"


def manual() -> str:
    """Make the manual's page, in roff; examples keep their lines."""
    parser = build_parser()
    parser.man_short_description = "PostgreSQL backups that prove they will come back"  # type: ignore[attr-defined]
    parser.epilog = f"{_AS_IT_STANDS}{parser.epilog}{_FILLED}"
    for command in _commands(parser):
        command.usage = _usage(command)
        command.description = f"{command.description}{_AS_IT_STANDS}{command.epilog}{_FILLED}"
    page = Manpage(parser, format="single-commands-section")
    page.manual = "pgvow"
    page.date = page.source = ""
    text = str(page).replace(".SH COMMENTS", ".SH EXAMPLES AND EXIT CODES")
    return re.sub(r"(?m)^@(nf|fi)@$", r".\1", text).rstrip("\n") + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in _actions(parser):
        if isinstance(action.choices, dict):  # the commands
            yield from action.choices.values()


def _usage(command: argparse.ArgumentParser) -> str:
    words = [
        str(action.metavar or action.dest.upper())
        for action in _actions(command)
        if not action.option_strings
    ]
    return " ".join(["%(prog)s", *words, "[OPTION ...]"])


def write() -> None:
    """Write all of them."""
    SCRIPT_FOLDER.mkdir(exist_ok=True)
    for shell, name in SCRIPTS.items():
        (SCRIPT_FOLDER / name).write_text(script(shell), encoding="utf-8")
    MANUAL.write_text(manual(), encoding="utf-8")


if __name__ == "__main__":
    write()
