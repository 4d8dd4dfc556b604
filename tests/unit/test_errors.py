"""Exit codes are an interface; what an error carries, and how settings' problems read."""

from __future__ import annotations

import inspect
import re
import signal
from typing import TYPE_CHECKING

import pytest

from pgvow import errors
from pgvow.cli.arguments import EXIT_CODES
from pgvow.errors import ConfigurationError, Interrupted, PgvowError, Problem
from tests.support.commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

# The contract's table, word by word. 0 is no error; 11 and 12 are results, not errors.
_CONTRACT = {
    0: "done",
    1: "anything not below",
    2: "configuration or usage",
    3: "cannot connect, or refused by the server's authentication",
    4: "permission denied, by the database or the file system",
    5: "not enough disk space, found early or met midway",
    6: "pg_dump, pg_restore or another tool missing, or too old for the server",
    7: "making the backup failed",
    8: "verification or proof failed",
    9: "another backup of this database into this directory is running",
    10: "restore failed",
    11: "something needs attention",
    12: "something is wrong",
    13: "cannot be proven here",
    14: "restored by --rescue, with something loosened",
    130: "interrupted by Ctrl-C",
    143: "interrupted by SIGTERM",
}
# What help need not tell as long as nothing ends with them.
_OF_LATER_COMMANDS = {10, 13, 14}
_CLASSES = {
    "PgvowError": 1,
    "ConfigurationError": 2,
    "ConnectionFailed": 3,
    "AccessDenied": 4,
    "NoSpace": 5,
    "ToolUnsuitable": 6,
    "BackupFailed": 7,
    "NothingMatches": 7,
    "LockNotGranted": 7,
    "VerificationFailed": 8,
    "AlreadyRunning": 9,
    "RestoreFailed": 10,
    "CannotBeProven": 13,
    "Stalled": 1,
    "RunTimedOut": 1,
}


def classes() -> Iterator[type[PgvowError]]:
    """Every error that ends with a code of its own."""
    for _, each in inspect.getmembers(errors, inspect.isclass):
        if issubclass(each, PgvowError) and each is not Interrupted:
            yield each


def test_exit_codes_are_unchanged() -> None:
    """No class has another code than ever, and a new one has a code of this table."""
    codes = {each.__name__: each("why").status for each in classes()}
    assert _CLASSES == {name: codes[name] for name in _CLASSES}
    assert set(codes.values()) <= set(_CONTRACT)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_interruptions_exit_with_128_and_the_signal(number: signal.Signals, status: int) -> None:
    """128 and the signal's number, and the signal's name for whoever reads it."""
    error = Interrupted(number)
    assert (status, f"received {number.name}") == (error.status, error.cause)


def test_the_docstring_draws_the_hierarchy_with_codes() -> None:
    """The docstring names each class with its code."""
    drawn = re.findall(r"^[ │├└─]+([A-Z]\w+) +(\d+)", errors.__doc__ or "", re.MULTILINE)
    codes = [(each.__name__, str(each.exit_code)) for each in classes()]
    assert sorted([*codes, ("Interrupted", "130")]) == sorted(drawn)


def test_help_lists_the_exit_codes() -> None:
    """``--help`` says of each code what the contract says of it, some in fewer words."""
    rows = re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.MULTILINE)
    shown = {int(code): meaning for code, meaning in rows}
    assert set(_CONTRACT) >= set(shown) >= set(_CONTRACT) - _OF_LATER_COMMANDS
    for code, meaning in shown.items():
        words = meaning.removeprefix("doctor, status: ")
        assert _CONTRACT[code][:12] == words[:12], code


def test_exit_codes_md_lists_the_exit_codes() -> None:
    """docs/exit-codes.md, which errors.py refers to."""
    text = (ROOT / "docs/exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \| (.+?) \|", text, re.MULTILINE)
    codes = [int(code) for codes, _ in rows for code in codes.split(", ")]
    assert list(_CONTRACT) == codes
    for codes_text, meaning in rows:
        first = _CONTRACT[int(codes_text.split(", ")[0])]
        plain = meaning.replace("`", "").replace("doctor, status: ", "")
        assert plain.startswith(first[:12]), codes_text


def test_an_error_carries_cause_facts_and_steps() -> None:
    """What is known at the bottom stays when an outer layer adds what it knows."""
    error = PgvowError("why", facts={"Host": "inner"}, steps=["first", "second"])
    assert error is error.with_facts({"Host": "outer", "Port": "1"})
    assert ("why", {"Host": "inner", "Port": "1"}) == (error.cause, error.facts)
    assert ("first", "second") == error.steps
    assert "why" == str(error)


def test_every_error_has_a_title_of_its_own() -> None:
    """A person reads the title first; no two classes share one."""
    titles = [each.title for each in (*classes(), Interrupted)]
    assert len(titles) == len(set(titles))
    assert all(titles)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("DB_PORT", ".env line 3", "is no port"), "DB_PORT (from .env line 3): is no port"),
        (Problem("DB_NAME", None, "is not set"), "DB_NAME: is not set"),
        (
            Problem("DB_NAME", None, "is not set", "DB_NAME=shop"),
            "DB_NAME: is not set; for example DB_NAME=shop",
        ),
    ],
)
def test_a_problem_names_variable_file_and_line(problem: Problem, text: str) -> None:
    """The variable, the file and line it came from, and what would be right."""
    assert text == str(problem)


def test_all_problems_are_raised_as_one_error() -> None:
    """Every one of them, a line each, not one a run."""
    problems = [Problem("A", None, "is not set"), Problem("B", ".env line 1", "is empty")]
    error = ConfigurationError.of(problems)
    assert (2, tuple(problems)) == (error.status, error.problems)
    assert ["A: is not set", "B (from .env line 1): is empty"] == error.cause.splitlines()
    assert error.steps
