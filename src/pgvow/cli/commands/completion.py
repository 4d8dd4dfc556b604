"""``pgvow completion``: the shells' completion scripts, and the words that they ask for."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from pgvow.cli.call import call_of
from pgvow.outside import printable
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pgvow.cli.arguments import Parser
    from pgvow.cli.call import Call
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
    call = call_of(arguments)
    words = _backups(call) if arguments.what == "backups" else _environments(call)
    for word in words:
        if word == printable(word) and not word.split()[1:]:  # others cannot be typed as they are
            print(word)
    return 0


def _backups(call: Call) -> Iterator[str]:
    """Yield the names of the backups' files, newest first, by the files' names alone."""
    stems = {
        path.name.removesuffix(DUMP)
        for directory in call.directories
        if directory.is_dir()
        for path in directory.iterdir()
        if path.name.endswith(DUMP)
    }
    known = ((parse_stem(stem), stem) for stem in stems)
    dated = sorted(((stem.moment, name) for stem, name in known if stem), reverse=True)
    yield from ("latest" for _ in dated[:1])
    yield from (name for _, name in dated)


def _environments(call: Call) -> Iterator[str]:
    """Yield the environments that --env takes."""
    names = ["dev", "prod", *call.context.configuration.environments, "auto"]
    yield from dict.fromkeys(names)
