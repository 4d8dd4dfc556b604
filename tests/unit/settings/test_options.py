"""An option is declared once: everything that has to know of it reads the declaration."""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pgvow.cli import options
from pgvow.settings import BackupSection, RetentionSection, StatusSection, load_configuration
from pgvow.settings.configuration import SECTIONS
from pgvow.settings.declared_option import flag_of, option, options_of
from pgvow.settings.values import DURATION, FLAG, NUMBER, PATTERNS, SELECTING, TEXT
from tests.support.commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.settings_files import SettingsFolder

# Spelled elsewhere too: pg_dump's own options, and one that four commands take from [backup].
_ELSEWHERE = {*SELECTING, "stall_timeout"}


def _strings(tree: ast.Module) -> Iterator[str]:
    """Yield the strings of a module that are no text: names, keys, flags."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("section", [BackupSection, RetentionSection, StatusSection])
def test_an_option_is_spelled_only_in_its_section(section: type) -> None:
    """No parser, schema, table of defaults or list of a mode repeats its name or its flag."""
    names = {own.name for own in fields(section) if "_" in own.name} - _ELSEWHERE
    spelled = names | {f"no_{name}" for name in names} | {flag_of(name) for name in names}
    repeated = [
        f"{path.name}: {text}"
        for path in (ROOT / "src").rglob("*.py")
        for text in _strings(ast.parse(path.read_text(encoding="utf-8")))
        if text in spelled
    ]
    assert names
    assert [] == repeated


@dataclass(frozen=True, slots=True)
class _Section:
    """A section with one option of each form."""

    pace: float = option(NUMBER, default=2, help="so fast (default: {default})", metavar="N")
    pause: timedelta = option(DURATION, default="26h", help="so long: {default}")
    washed: bool = option(FLAG, default=True, help="not washed", opposite="washed")
    dried: bool = option(FLAG, default=False, help="dried")
    color: tuple[str, ...] = option(PATTERNS, default=[], short="-c", help="these")
    secret: str | None = option(TEXT, secret=True)


def _typed(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    for declared in options_of(_Section).values():
        options._add(parser, declared)
    return vars(parser.parse_args(words))


def test_defaults_are_written_as_in_the_file() -> None:
    """The default of the field is the value of that text, and documents show the text."""
    assert (2.0, timedelta(hours=26), True) == (_Section().pace, _Section().pause, True)
    assert {
        "pace": "2",
        "pause": '"26h"',
        "washed": "true",
        "dried": "false",
        "color": "none",
        "secret": "none",
    } == {name: declared.shown for name, declared in options_of(_Section).items()}
    assert "so long: 26h" == options_of(_Section)["pause"].help_text
    assert "hunter2" not in repr(_Section(secret="hunter2"))


def test_the_parser_returns_only_typed_options() -> None:
    """A flag that is on by default is typed as its opposite, and can be turned on again."""
    assert {} == _typed()
    assert {"pace": 1.5, "pause": timedelta(minutes=1)} == _typed("--pace", "1.5", "--pause", "1m")
    assert {"no_washed": True, "dried": True} == _typed("--no-washed", "--dried")
    assert {"no_washed": False} == _typed("--no-washed", "--washed")
    assert {"color": ["a", "b"]} == _typed("-c", "a", "--color", "b")
    with pytest.raises(argparse.ArgumentError, match="'-1' is not a number of 0 or more"):
        _typed("--pace", "-1")


def test_every_option_of_a_command_is_in_one_group_that_it_takes() -> None:
    """A group that no command takes would be an option that nobody can type."""
    taken = {group for groups in options.OF_COMMAND.values() for group in groups}
    taken |= {"keep", "age", "sheet"}  # of prune, status and sheet
    groups = {declared.group for section in SECTIONS.values() for declared in section.values()}
    assert groups - {""} <= taken


def test_declarations_load_no_library() -> None:
    """A parser needs the declarations alone: no python-dotenv, psycopg or reader of files."""
    code = "import sys, pgvow.cli.options; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pgvow.settings.options" in loaded
    needless = {"dotenv", "psycopg", "cronsim", "pgvow.settings.toml_file"}
    assert set() == needless.intersection(loaded)


def test_a_source_names_the_database_it_connects_to(folder: SettingsFolder) -> None:
    """Development and production are two sources; each names the database it is connected to."""
    folder.local("DEV_DB_NAME=d\nDB_NAME=p\nDB_USER=u\n")
    for name, databases in (("dev", ("d",)), ("prod", ("p",))):
        source = folder.load(name).source
        assert (name, databases) == (source.name, source.databases)


def test_a_source_of_pgvow_toml_keeps_its_policy(tmp_path: Path) -> None:
    """One of the contract's two has the variables of the contract, and a policy of its own."""
    text = "[environments.prod]\noutput_dir = 'p'\n[environments.prod.backup]\nspace_factor = 3\n"
    (tmp_path / "pgvow.toml").write_text(text)
    configuration = load_configuration(path=None, environ={}, directory=tmp_path).configuration
    source = configuration.environments["prod"]
    assert ("DB", "DATABASE_URL") == (source.variables.prefix, source.variables.url_variable)
    assert (tmp_path / "p", BackupSection(space_factor=3), None) == (
        source.output_dir,
        source.backup,
        source.status,
    )
