"""Texts from outside are quoted without secrets and at a bounded length, wherever they end."""

from __future__ import annotations

import json
import sys
from urllib.parse import quote

import pytest

from pgvow.errors import BackupFailed
from pgvow.postgres.process import run_quietly
from pgvow.progress import Reporter, Silent
from pgvow.quoted_texts import masked
from pgvow.settings import Connection

_SECRET = "s'3\"cret\\Übel@:/?#"
_LIMIT = 17_000


@pytest.fixture(autouse=True)
def _connection() -> None:
    Connection("h", 5432, "d", "u", _SECRET)


@pytest.mark.parametrize(
    "spelled",
    [_SECRET, quote(_SECRET, safe=""), json.dumps(_SECRET), repr(_SECRET), _SECRET * 2],
)
def test_a_password_is_masked_in_every_spelling(spelled: str) -> None:
    """As it is, as in a URL, in JSON, in Python: of the password nothing remains."""
    text = f"FATAL: no entry for {spelled}!"
    for quoted in (
        masked(text),
        str(BackupFailed(text)),
        BackupFailed(text).cause,
        run_quietly([sys.executable, "-c", f"import sys; sys.exit({text!r})"], env={}).stderr,
    ):
        assert "***" in quoted
        assert "cret" not in quoted


def test_facts_and_steps_of_an_error_are_masked() -> None:
    """An error's facts and steps are masked as its cause is, whenever they are added."""
    error = BackupFailed("cause", facts={"Tool": f"psql {_SECRET}"}, steps=[f"echo {_SECRET}"])
    error.with_facts({"Left behind": f"x: {_SECRET}", "Tool": "another"})
    assert {"Tool": "psql ***", "Left behind": "x: ***"} == error.facts
    assert ("echo ***",) == error.steps
    assert "cret" not in str(json.dumps([dict(error.facts), error.steps, error.cause]))


def test_warnings_are_masked() -> None:
    """A warning is masked before it gets to the terminal, the history, the log or a result."""
    shown: list[str] = []
    display = Silent()
    display.warn = shown.append  # type: ignore[method-assign]
    reporter = Reporter(display)
    with reporter.collecting() as of_result:
        for warn in (reporter.warn, reporter.relay, reporter.insist, reporter.keep):
            warn(f"NOTICE: {_SECRET}")
    assert ["NOTICE: ***"] * 4 == reporter.warnings
    assert ["NOTICE: ***"] * 3 == shown
    assert ["NOTICE: ***"] == of_result


def test_a_short_password_masks_no_other_words() -> None:
    """A password of three letters hides no words of ours."""
    Connection("h", 5432, "d", "u", "not")
    assert "is not a file" == masked("is not a file")


def test_a_password_equal_to_the_user_is_not_masked() -> None:
    """It cannot be kept secret without hiding which user was refused."""
    Connection("h", 5432, "d", "postgres_user", "postgres_user")
    assert 'user "postgres_user"' == masked('user "postgres_user"')


def test_a_long_message_keeps_beginning_and_end() -> None:
    """Of a message of 10 MB a cause keeps the beginning and the end."""
    cause = BackupFailed("begin " + "x" * 10_000_000 + " end").cause
    assert _LIMIT > len(cause)
    assert cause.startswith("begin ")
    assert cause.endswith(" end")


def test_a_long_line_of_a_tool_is_not_kept_in_memory() -> None:
    """A line of 50 MB is neither kept nor read into memory; the next one is not lost."""
    code = "import sys; [sys.stderr.write('x' * 1000000) for n in range(50)]; sys.exit('\\nlast')"
    lines = run_quietly([sys.executable, "-c", code], env={}).stderr.splitlines()
    assert _LIMIT > len(lines[0])
    assert lines[0].endswith("…")
    assert ["last"] == lines[1:]
