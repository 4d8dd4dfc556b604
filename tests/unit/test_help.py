"""Every ``--help``: nothing that stands in its source is lost, and no advice names a stranger."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.commands import COMMANDS
from pgvow.cli.parser import build_contract_parser, build_parser
from tests.support.commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_BRACKETED = re.compile(r"\[[^\]\s]*\]")
_FROM_THE_INDEX = re.compile(r"install[^\n]*['\"` ]pgvow(\[|['\"`]|\s*$)")
_READ_BY_USERS = ("README.md", "quickstart.md", "CONTRIBUTING.md", "docs", "src", "tools")


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name in action.choices:
                yield from _parsers(action.choices[name])


_ALL = [*_parsers(build_parser()), *_parsers(build_contract_parser())]


def _written(parser: argparse.ArgumentParser) -> str:
    texts = [parser.description, parser.epilog]
    texts += [text for one in parser._actions for text in (one.help, str(one.metavar or ""))]
    return "\n".join(filter(None, texts))


@pytest.mark.parametrize("parser", _ALL, ids=lambda one: one.prog)
def test_help_keeps_its_brackets(parser: argparse.ArgumentParser) -> None:
    """Each [word] of a description, an epilog, a help or a metavar is in the text printed."""
    shown = parser.format_help()
    lost = [part for part in _BRACKETED.findall(_written(parser)) if part not in shown]
    assert [] == lost


def test_help_takes_nothing_for_markup() -> None:
    """Whatever is added to any parser later: brackets are text, in help and in description."""
    parser = type(build_parser())(prog="any", description="See [red] and [/x].", epilog="[bold]")
    parser.add_argument("--one", metavar="[A]", help="as [status] has it")
    shown = parser.format_help()
    assert [] == [
        word for word in ("[red]", "[/x]", "[bold]", "[A]", "[status]") if word not in shown
    ]


def test_every_command_can_be_run_and_has_options() -> None:
    """The table of commands names no module that is missing, and none is missing in the table."""
    calls = [import_module(f"pgvow.cli.commands.{name}") for name in COMMANDS]
    assert [] == [call.__name__ for call in calls if not callable(getattr(call, "run", None))]
    runnable = [path.stem for path in (ROOT / "src/pgvow/cli/commands").glob("*.py")]
    assert {"__init__", *COMMANDS} == set(runnable)
    (commands,) = (one for one in build_parser()._actions if one.dest == "command")
    assert isinstance(commands.choices, dict)
    assert list(COMMANDS) == list(commands.choices)


def test_the_help_of_all_needs_the_options_of_none() -> None:
    """A command that was not chosen is listed, with its line and without its options."""
    chosen, every = build_parser(["prove"]), build_parser()
    assert every.format_help() == chosen.format_help()
    unchosen = next(one for one in _parsers(chosen) if one.prog == "pgvow backup")
    assert "--jobs" not in unchosen.format_help()


def test_yes_is_explained_as_it_works() -> None:
    """--yes leaves the question out; development is never asked."""
    text = next(one for one in _ALL if one.prog == "pgvow restore").format_help()
    expected = "do not ask for the database's name before a swap (development never asks)"
    assert expected in " ".join(text.split())


def test_no_advice_installs_from_the_index() -> None:
    """pgvow is not published: its name on an index would be whoever's registered it."""
    files = [
        path
        for name in _READ_BY_USERS
        for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"))
        if path.suffix in {".md", ".py", ".sh"}
    ]
    advised = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in files
        if (found := _FROM_THE_INDEX.search(path.read_text()))
    ]
    assert [] == advised
