"""Reading one settings file: values as python-dotenv has them, and no fault passed over."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from hypothesis import given
from hypothesis import strategies as st

from pgvow.errors import AccessDenied
from pgvow.settings.env_files import parse_env_file, read_env_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.errors import Problem
    from tests.support.settings_files import SettingsFolder

AS_WRITTEN = {
    "plain": ("secret", "secret"),
    "single quotes": ("'it is secret'", "it is secret"),
    "hash without space": ("a#b", "a#b"),
    "hash after space is a comment": ("a #b", "a"),
    "hash between quotes": ("'a #b'", "a #b"),
    "comment after quotes": ("'a' # b", "a"),
    "dollar alone": ("pa$$wd$", "pa$$wd$"),
    "dollar and name": ("$HOME", "$HOME"),
    "dollar between single quotes": ("'$HOME'", "$HOME"),
    "braces are replaced even between single quotes": ("'a${HOME}b'", "a/home/meb"),
    "default in braces": ("${NOPE:-fallback}", "fallback"),
    "unset in braces": ("a${NOPE}b", "ab"),
    "the way to write ${": ("'a${:-$}{HOME}b'", "a${HOME}b"),
    "open brace": ("'a${HOME'", "a${HOME"),
    "backslash without quotes": (r"a\nb", r"a\nb"),
    "backslash in single quotes": (r"'a\nb'", r"a\nb"),
    "escapes in single quotes": (r"'it\'s \\ here'", r"it's \ here"),
    "escapes in double quotes": (r'"a\n\"b\""', 'a\n"b"'),
    "single quote inside": ("it's", "it's"),
    "double quotes inside single": ("""'say "x"'""", 'say "x"'),
    "white space around": ("  secret  ", "secret"),
    "white space between quotes": ("'  secret  '", "  secret  "),
    "equals sign": ("a=b=c", "a=b=c"),
    "letters beyond ASCII": ("пароль-ß", "пароль-ß"),
    "several lines": ("'a\nb'", "a\nb"),
    "empty": ("", ""),
    "empty quotes": ("''", ""),
}


@pytest.mark.parametrize(("written", "expected"), AS_WRITTEN.values(), ids=AS_WRITTEN.keys())
def test_values_are_parsed_as_documented(written: str, expected: str) -> None:
    """Quotes, ``$``, ``#``, spaces and backslashes in a password come out as documented."""
    file = parse_env_file(".env", f"DB_PASSWORD={written}\n", {"HOME": "/home/me"})

    assert file.problems == ()
    assert expected == file.entries["DB_PASSWORD"].value


@given(password=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_password_can_be_written_between_single_quotes(password: str) -> None:
    r"""With ``\``, ``'`` and ``${`` written as documented, every password comes through."""
    # A file's line ends are all \n once it is read as text, between quotes too.
    password = password.replace("\r", "")
    quoted = password.replace("\\", "\\\\").replace("'", "\\'").replace("${", "${:-$}{")

    file = parse_env_file(".env", f"DB_PASSWORD='{quoted}'\n", {})

    assert password == file.entries["DB_PASSWORD"].value


@given(
    text=st.lists(
        st.sampled_from(
            [
                *(
                    "A",
                    "B",
                    "DB_NAME",
                    "export ",
                    "=",
                    "'",
                    '"',
                    "\\",
                    "$",
                    "${A}",
                    "${B:-x}",
                    "${",
                ),
                *("}", "#", " ", "\t", "\n", "\r\n", "\n\n", "x", "y z", "ä", "\ufeff", "\x0b"),
            ]
        ),
        max_size=30,
    ).map("".join)
)
def test_values_are_those_of_dotenv_values(text: str) -> None:
    """Values, line numbers apart, are those that python-dotenv itself reads by default."""
    environ = {"A": "from the environment"}
    with mock.patch.dict(os.environ, environ, clear=True):
        theirs = dotenv_values(stream=io.StringIO(text, newline=None))
    bindings = list(parse_stream(io.StringIO(text, newline=None)))
    bare = {binding.key for binding in bindings if binding.value is None}

    ours = {
        key: entry.value for key, entry in parse_env_file(".env", text, environ).entries.items()
    }

    # Names without = are ours to judge; whatever refers to them differs with them.
    if not bare - {None}:
        assert theirs == ours


def test_a_reference_prefers_the_files_earlier_value() -> None:
    """``${NAME}`` means the file's own earlier value before the environment's."""
    file = parse_env_file(".env", "A=own\nDB_HOST=${A}.example\n", {"A": "exported"})

    assert file.entries["DB_HOST"].value == "own.example"


def test_unset_references_are_recorded() -> None:
    """A value is hollow if a ``${…}`` without default named a variable that is not set."""
    text = "A=${NOPE}\nB=${NOPE:-x}\nC=${D}\nE=$NOPE\nF=${A}\n"

    entries = parse_env_file(".env", text, {"D": ""}).entries

    assert {"A"} == {name for name, entry in entries.items() if entry.hollow}
    assert {"A", "B", "C", "F"} == {name for name, entry in entries.items() if entry.interpolated}


def test_line_numbers_are_those_of_an_editor() -> None:
    """A variable's line is that of its name, blank lines and comments before it counted."""
    text = "\n\n# comment\nA=1\n\n\n  B='x\ny'\r\n\r\nexport C=3\rD=4"

    entries = parse_env_file(".env", text, {}).entries

    lines = {"A": 4, "B": 7, "C": 10, "D": 11}
    assert {name: f".env line {line}" for name, line in lines.items()} == {
        name: entry.source for name, entry in entries.items()
    }


def test_the_last_of_duplicate_variables_counts() -> None:
    """Of a variable that stands twice in a file the last one counts, and its line is named."""
    entry = parse_env_file(".env", "DB_NAME=a\nDB_NAME=b\n", {}).entries["DB_NAME"]

    assert ("b", ".env line 2") == (entry.value, entry.source)


UNREADABLE = {
    "open single quote": "DB_PASSWORD='hunter2\n",
    "open double quote": 'DB_PASSWORD="hunter2\n',
    "text behind the quotes": "DB_PASSWORD='x' hunter2\n",
    "no equals sign": "DB_PASSWORD hunter2\n",
    "export, no equals sign": "export DB_PASSWORD hunter2\n",
}


@pytest.mark.parametrize("line", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_malformed_line_is_a_problem_with_its_place(line: str) -> None:
    """The problem names variable, file and line, shows none of it; the rest is read."""
    file = parse_env_file(".env.local", f"\nA=1\n\n{line}B=2\n", {})

    (problem,) = file.problems
    assert ("DB_PASSWORD", ".env.local line 4") == (problem.variable, problem.source)
    assert "hunter2" not in str(problem)
    assert {"A": "1", "B": "2"} == {key: entry.value for key, entry in file.entries.items()}


def test_a_malformed_line_of_an_unknown_name_is_not_shown() -> None:
    """A line whose name is none of ours may be a password's rest: only its place is told."""
    file = parse_env_file(".env", "DB_PASSWORD='abc'x\nhunter2='\n", {})

    assert [("DB_PASSWORD", ".env line 1"), (".env line 2", None)] == _places(file.problems)
    assert "hunter2" not in "".join(map(str, file.problems))


def test_a_name_without_a_value_is_a_problem() -> None:
    """One of our variables without ``=`` is a problem, other programs' are their own."""
    file = parse_env_file(".env", "DB_NAME\nexport PGSSLMODE\nOTHER\n", {})

    assert [("DB_NAME", ".env line 1"), ("PGSSLMODE", ".env line 2")] == _places(file.problems)


def test_a_separate_export_line_changes_nothing() -> None:
    """A file that shells source may say ``export DB_NAME`` beside the value."""
    file = parse_env_file(".env", "export DB_HOST\nDB_NAME=a\nexport DB_NAME\nDB_HOST=h\n", {})

    assert file.problems == ()
    assert {"DB_NAME": "a", "DB_HOST": "h"} == {k: e.value for k, e in file.entries.items()}


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """A file saved by a Windows editor reads like any other."""
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfDB_NAME=a\r\nDB_HOST='b\r\nc'\r\n")

    entries = read_env_file(path, {}).entries

    assert {"DB_NAME": "a", "DB_HOST": "b\nc"} == {k: e.value for k, e in entries.items()}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"A=1\nDB_PASSWORD=\xe4hunter2\n", 2),
        ("DB_PASSWORD=hunter2\n".encode("utf-16"), 1),
    ],
    ids=["Latin-1", "UTF-16"],
)
def test_a_file_that_is_not_utf8_is_a_problem(tmp_path: Path, content: bytes, line: int) -> None:
    """The problem names file and line, and nothing of the line."""
    path = tmp_path / ".env"
    path.write_bytes(content)

    (problem,) = read_env_file(path, {}).problems

    assert f".env line {line}" == problem.variable
    assert "UTF-8" in problem.complaint
    assert "hunter2" not in str(problem)


def test_a_missing_file_and_a_folder_are_empty(tmp_path: Path) -> None:
    """No file is needed, and a virtualenv that is called ``.env`` is no settings file."""
    (tmp_path / ".env").mkdir()

    for name in (".env", ".env.local"):
        file = read_env_file(tmp_path / name, {})
        assert ({}, ()) == (file.entries, file.problems)


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """Whatever else the system says of a file (here: links in a circle) is a problem with it."""
    (tmp_path / ".env").symlink_to(tmp_path / ".env")

    (problem,) = read_env_file(tmp_path / ".env", {}).problems

    assert ".env" == problem.variable
    assert problem.complaint.startswith("cannot be read: ")


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    """Let file modes count for root, too."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_without_read_permission_exits_4(folder: SettingsFolder) -> None:
    """Exit code 4, with the file's name and what to do."""
    folder.local("DB_NAME=a\n")
    path = folder.folder / ".env.local"
    path.chmod(0)

    with _as_nobody(), pytest.raises(AccessDenied) as caught:
        folder.load()

    assert {"File": str(path)} == caught.value.facts
    assert "Permission denied" in caught.value.cause
    assert any(str(path) in step for step in caught.value.steps)


def _places(problems: tuple[Problem, ...]) -> list[tuple[str, str | None]]:
    return [(problem.variable, problem.source) for problem in problems]
