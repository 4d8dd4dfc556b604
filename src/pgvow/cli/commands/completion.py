"""``pgvow completion``: the shells' completion scripts, and the words that they ask for."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from pgvow.cli.shell_words import print_words

if TYPE_CHECKING:
    import argparse

    from pgvow.cli.arguments import Parser
    from pgvow.cli.report import Report

SCRIPTS = {"bash": "pgvow.bash", "zsh": "_pgvow", "fish": "pgvow.fish"}
"""The script of each shell, by its file's name in the package."""
_TEXT = """\
Print the script by which a shell completes commands, options, environments and names of backups.

  bash   pgvow completion bash > ~/.local/share/bash-completion/completions/pgvow
  zsh    pgvow completion zsh > DIRECTORY/_pgvow   (one of $fpath; then: compinit)
  fish   pgvow completion fish > ~/.config/fish/completions/pgvow.fish

backups and environments print the words that those scripts ask for, a line each.
"""


def add_completion(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    completion = commands.add_parser("completion", description=_TEXT)
    completion.add_argument("what", choices=(*SCRIPTS, "backups", "environments"))


def run(arguments: argparse.Namespace, _report: Report) -> int:
    """Print a script, or words; returns the exit code."""
    if script := SCRIPTS.get(arguments.what):
        text = files("pgvow.cli").joinpath("completion_scripts", script).read_text("utf-8")
        print(text, end="")
        return 0
    return print_words(arguments.what)
