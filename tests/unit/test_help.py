"""Every ``--help``: nothing that stands in its source is lost, and no advice names a stranger."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.arguments import Topic, UsageProblem
from pgvow.cli.commands import COMMANDS, HERE
from pgvow.cli.parser import build_contract_parser, build_parser, parse_pgvow
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


def _help(command: str) -> str:
    return next(one for one in _ALL if one.prog == f"pgvow {command}").format_help()


def _written(parser: argparse.ArgumentParser) -> str:
    texts = [parser.description, parser.epilog]
    texts += [text for one in parser._actions for text in (one.help, str(one.metavar or ""))]
    return "\n".join(filter(None, texts))


@pytest.mark.parametrize("parser", _ALL, ids=lambda one: one.prog)
def test_help_prints_words_in_brackets(parser: argparse.ArgumentParser) -> None:
    """Each [word] of a description, an epilog, a help or a metavar is in the text printed."""
    shown = parser.format_help()
    lost = [part for part in _BRACKETED.findall(_written(parser)) if part not in shown]
    assert [] == lost


def test_help_never_interprets_markup() -> None:
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
    assert {"__init__", HERE, *COMMANDS} == set(runnable)
    (commands,) = (one for one in build_parser()._actions if one.dest == "command")
    assert isinstance(commands.choices, dict)
    assert list(COMMANDS) == list(commands.choices)


def test_general_help_builds_no_options_of_commands() -> None:
    """A command that was not chosen is listed, with its line and without its options."""
    chosen, every = build_parser(["prove"]), build_parser()
    assert every.format_help() == chosen.format_help()
    unchosen = next(one for one in _parsers(chosen) if one.prog == "pgvow backup")
    assert "--engine" not in unchosen.format_help()


def test_help_of_yes_matches_its_effect() -> None:
    """--yes leaves the question out; development is never asked."""
    text = next(one for one in _ALL if one.prog == "pgvow restore").format_help()
    text = " ".join(text.split())
    assert "do not ask for the database's name before a swap, or a copy by --into" in text
    assert "(development never asks)" in text


def test_no_advice_installs_pgvow_from_an_index() -> None:
    """pgvow is not published: a package of its name on an index would be a stranger's."""
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


def test_every_command_has_two_examples_that_parse() -> None:
    """Each example in a command's help is accepted by its parser, and there are two at least."""
    for name, command in COMMANDS.items():
        assert len(command.examples) >= 2, name
        for example in command.examples:
            program, *words = shlex.split(example.split(" > ")[0])
            assert ("pgvow", name) == (program, parse_pgvow(words).command)
            assert example in _help(name)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["list", "--evn", "prod"], "--env"),
        (["backup", "--comprss=gzip"], "--compress"),
        (["backup", "--engine", "paralel"], "parallel"),
    ],
)
def test_a_misspelled_word_gets_the_nearest_suggestion(words: list[str], meant: str) -> None:
    """An option or a choice that does not exist names the nearest one that does."""
    with pytest.raises(UsageProblem) as caught:
        parse_pgvow(words)
    assert f"Did you mean {meant}?" == caught.value.steps[0]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["bakcup"], "no command bakcup; did you mean backup?"),
        (["help", "lisst"], "no command lisst; did you mean list?"),
        (["zzzz", "--json"], "no command zzzz"),
    ],
)
def test_a_mistyped_command_is_answered_in_one_line(words: list[str], cause: str) -> None:
    """The nearest command if one is near, and where all of them stand; not the list of them."""
    with pytest.raises(UsageProblem) as caught:
        parse_pgvow(words)
    assert (cause, ["See what there is: pgvow --help"]) == (
        caught.value.cause,
        list(caught.value.steps),
    )


def test_an_unlike_word_gets_no_suggestion() -> None:
    """Nothing is suggested that has nothing in common with the word that was typed."""
    with pytest.raises(UsageProblem) as caught:
        parse_pgvow(["list", "--zzzzzzzz"])
    assert ("See what there is: pgvow list --help",) == tuple(caught.value.steps)


@pytest.mark.parametrize("words", [["help"], ["help", "prove"], ["-V"]])
def test_help_and_version_have_their_short_forms(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """``pgvow help``, ``pgvow help COMMAND`` and ``-V`` print as --help and --version do."""
    with pytest.raises(SystemExit):
        parse_pgvow(words)
    short = capsys.readouterr().out
    long = {"help": ["--help"], "-V": ["--version"]}[words[0]]
    with pytest.raises(SystemExit):
        parse_pgvow([*words[1:], *long])
    assert capsys.readouterr().out == short


def test_options_are_grouped_under_ordered_headings() -> None:
    """The topics in their order, and no option without a heading."""
    text = _help("backup")
    headings = re.findall(r"^([A-Z][a-z ]+):$", text, re.MULTILINE)
    assert headings == ["Options", *(topic.capitalize() for topic in Topic)]
    for parser in _ALL:
        if parser.prog.startswith("pgvow "):
            loose = [one.option_strings for one in parser._optionals._group_actions]
            assert [["-h", "--help"]] == loose, parser.prog
