"""The command to type next, as the user would have to type it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.commands.demo import own_command
from pgvow.cli.parser import parse_pgvow
from pgvow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., str]


def program(folder: Path, name: str) -> Path:
    """Make a program that may be run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.touch(0o755)
    return path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Be started by certain words in a certain folder, and say how to do it again."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def start(argv: str, *, path: Path | None = None, interpreter: str = "python3") -> str:
        monkeypatch.setattr("sys.argv", [argv, "demo"])
        monkeypatch.setattr("sys.orig_argv", [interpreter, "-m", "pgvow", "demo"])
        monkeypatch.setenv("PATH", str(path or tmp_path / "none"))
        return own_command()

    return start


def test_on_path_the_bare_name_is_used(started: Start, tmp_path: Path) -> None:
    """The bare name, as a shell passes the whole path of the program."""
    script = program(tmp_path / "bin", "pgvow")
    assert "pgvow" == started(str(script), path=script.parent)


def test_off_path_the_whole_path_is_used(started: Start, tmp_path: Path) -> None:
    """The whole path, for the user's project is another folder than this."""
    script = program(tmp_path / "here/.venv/bin", "pgvow")
    assert str(script) == started(".venv/bin/pgvow")
    assert str(script) == started("../here/.venv/bin/pgvow")


def test_another_program_on_path_gives_the_whole_path(started: Start, tmp_path: Path) -> None:
    """The program on PATH is another one: this one's path is shown."""
    other = program(tmp_path / "bin", "pgvow")
    script = program(tmp_path / "here/.venv/bin", "pgvow")
    assert str(script) == started(".venv/bin/pgvow", path=other.parent)


def test_a_path_with_shell_characters_is_quoted(started: Start, tmp_path: Path) -> None:
    """It is quoted, so that it can be copied."""
    script = program(tmp_path / "here/my programs", "pgvow")
    assert [str(script)] == shlex.split(started("my programs/pgvow"))


def test_python_m_pgvow_is_repeated_with_its_interpreter(started: Start, tmp_path: Path) -> None:
    """``python -m pgvow``: with the interpreter that was called, by name or by path."""
    module = "/usr/lib/python3/dist-packages/pgvow/__main__.py"
    python = program(tmp_path / "bin", "python3")
    assert "python3 -m pgvow" == started(module, path=python.parent)
    own = program(tmp_path / "here/.venv/bin", "python")
    assert f"{own} -m pgvow" == started(module, interpreter=".venv/bin/python")


def test_a_library_caller_gets_the_name_pgvow(started: Start) -> None:
    """A program that calls us as a library: the name under which we are known."""
    assert "pgvow" == started("/usr/bin/something")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1_000", "", "many", "٣", "1e5"])
def test_an_invalid_message_count_is_a_usage_error(text: str) -> None:
    """A whole number of 1 or more, or a usage error that quotes it."""
    with pytest.raises(ConfigurationError, match="whole number of 1 or more") as caught:
        parse_pgvow(["demo", f"--messages={text}"])
    assert repr(text) in caught.value.cause
    assert 7 == parse_pgvow(["demo", "--messages", "7"]).messages
