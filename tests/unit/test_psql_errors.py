"""Errors are told from notices in psql's standard error."""

from __future__ import annotations

import pytest

from pgvow.postgres.psql_text import PsqlError, first_complaint

_ERROR = "ERROR:  57014: canceling statement\nLOCATION:  ProcessInterrupts, postgres.c:3353\n"
_CANCELED = PsqlError("57014", "canceling statement", whole=True)


@pytest.mark.parametrize(
    "before",
    [
        "WARNING:  01000: psql is older\nLOCATION:  x, y.c:1\n",
        "psql:<stdin>:12: WARNING:  01000: psql is older\n",
        "NOTICE:  00000: two\nlines\nLOCATION:  x, y.c:1\n",
        "DEBUG:  00000: rehashing catalog cache\nLOCATION:  x, y.c:1\n",
        "INFO:  00000: it went on\nDETAIL:  well\nCONTEXT:  PL/pgSQL function f()\nSQL statement\n",
        "LOG:  00000: duration: 3 ms\nSTATEMENT:  SELECT 1\n",
        "HINWEIS:  00000: Tabelle fehlt\nLOCATION:  x, y.c:1\n",
        "WARNUNG:  01000: Vorsicht\n",
        "LOCATION:  of a message that was taken before\n",
    ],
)
def test_notices_are_passed_over(before: str) -> None:
    """Alone it is none, and before an error it does not hide that."""
    assert first_complaint(before) is None
    assert first_complaint(before + _ERROR) == _CANCELED


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (_ERROR + "ERROR:  22012: another\n", _CANCELED),
        ("psql:<stdin>:3: " + _ERROR, _CANCELED),
        ("FEHLER:  57014: canceling statement\nLOCATION:  x\n", _CANCELED),
        ("ERROR:  01000: raised so\n", PsqlError("01000", "raised so")),
        ("FATAL:  sorry\n", PsqlError("", "sorry")),
        (
            "psql: error: connection to server failed: FATAL:  too many\n",
            PsqlError("", "connection to server failed: FATAL:  too many", whole=True),
        ),
        (
            "server closed the connection\n\tThis probably means\nconnection to server was lost\n",
            PsqlError("", "server closed the connection", whole=True),
        ),
    ],
)
def test_the_first_error_is_found_by_severity(said: str, expected: PsqlError) -> None:
    """By its severity, whatever its language; of a lost connection the first line."""
    assert expected == first_complaint(said)


def test_a_hint_belongs_to_the_error() -> None:
    """A hint is kept, as psycopg has it behind its own messages."""
    found = first_complaint(
        "ERROR:  53200: out of shared memory\n"
        "HINT:  You might need to increase max_locks_per_transaction.\nLOCATION:  x, y.c:1\n"
    )
    assert "out of shared memory\nHINT:  You might need to increase max_locks_per_transaction." == (
        str(found)
    )


def test_an_incomplete_error_is_waited_for() -> None:
    """Until its last line has come it is not whole."""
    found = first_complaint("ERROR:  53200: out of shared memory\n")
    assert PsqlError("53200", "out of shared memory", whole=False) == found
