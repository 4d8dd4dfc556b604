"""Classify a failure by its SQLSTATE: evidence about the data, or no verdict on it.

This is the one table of it. A check ends as passed, as refuted or without a verdict, and refuted
needs evidence: that a server which is intact refuses rows or a definition. All else, and all that
is not understood, says nothing about a backup.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

import psycopg

from pgvow.errors import (
    CannotBeProven,
    ConnectionFailed,
    NoResources,
    NoSpace,
    NoVerdict,
    PgvowError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class FailureClass(Enum):
    """The subject of a failure."""

    DATA = "rows or a definition"
    LACK = "something that this server does not have, or this role may not do"
    DISK = "a full disk"
    MEMORY = "memory"
    HANDLES = "file handles"
    CONNECTION = "the connection or the server's life"
    STOPPED = "a statement that somebody or a limit stopped"
    UNKNOWN = "not understood"


# Appendix A of PostgreSQL's documentation. A whole code wins over its class.
_BY_CODE = {
    "42501": FailureClass.LACK,  # insufficient_privilege
    "25006": FailureClass.LACK,  # read_only_sql_transaction: a standby, or so set
    "58P01": FailureClass.LACK,  # undefined_file: a library, a dictionary
    "53100": FailureClass.DISK,
    "53200": FailureClass.MEMORY,
    "53300": FailureClass.CONNECTION,  # too_many_connections
    "53000": FailureClass.HANDLES,  # EMFILE and ENFILE in the server
    "25P03": FailureClass.CONNECTION,  # idle_in_transaction_session_timeout
    "25P04": FailureClass.CONNECTION,  # transaction_timeout
    "57014": FailureClass.STOPPED,  # query_canceled, statement_timeout
    "57P01": FailureClass.CONNECTION,  # admin_shutdown, pg_terminate_backend
    "57P02": FailureClass.CONNECTION,  # crash_shutdown
    "57P03": FailureClass.CONNECTION,  # cannot_connect_now
    "57P04": FailureClass.CONNECTION,  # database_dropped
    "57P05": FailureClass.CONNECTION,  # idle_session_timeout
    "55P03": FailureClass.STOPPED,  # lock_not_available
    "40001": FailureClass.STOPPED,
    "40P01": FailureClass.STOPPED,
    # Two sessions that make the same, or a statement that is tried a second time.
    "42P04": FailureClass.UNKNOWN,  # duplicate_database
    "42P06": FailureClass.UNKNOWN,  # duplicate_schema
    "42P07": FailureClass.UNKNOWN,  # duplicate_table
    "42710": FailureClass.UNKNOWN,  # duplicate_object
    "42723": FailureClass.UNKNOWN,  # duplicate_function
}
_BY_CLASS = {
    "08": FailureClass.CONNECTION,
    "0A": FailureClass.LACK,  # feature_not_supported: built without lz4, libxml, ICU
    "22": FailureClass.DATA,
    "23": FailureClass.DATA,
    "28": FailureClass.CONNECTION,
    "3F": FailureClass.DATA,  # invalid_schema_name
    "42": FailureClass.DATA,
}
# For a failure that has no SQLSTATE: a program's own words, in the C locale, or libpq's. None of
# them is evidence, so a word that is misread costs a verdict and never makes one.
_BY_WORDS = (
    (
        FailureClass.DISK,
        re.compile(r"No space left on device|Disk quota exceeded|wrote only \d+ of \d+ bytes"),
    ),
    (
        FailureClass.MEMORY,
        re.compile(r"\bout of memory\b|Cannot allocate memory|out of shared memory", re.IGNORECASE),
    ),
    (
        FailureClass.HANDLES,
        re.compile(
            r"Too many open files|(?:out of|insufficient) file descriptors|object file: Error 24"
        ),
    ),
    (
        FailureClass.STOPPED,
        re.compile(r"canceling statement due to|canceling autovacuum|deadlock detected"),
    ),
    (
        FailureClass.CONNECTION,
        re.compile(
            r"server closed the connection|terminating connection|connection to server"
            r"|connection (?:not open|pointer is NULL|was lost)|no connection to the server"
            r"|the connection is (?:closed|lost)|consuming input failed"
            r"|could not (?:receive data from|send data to) server"
            r"|SSL (?:connection has been closed|SYSCALL error)"
            r"|the database system is (?:shutting down|starting up|in recovery|not yet accepting)"
            r"|too many (?:clients|connections)|remaining connection slots",
        ),
    ),
)


def meaning_of(sqlstate: str | None, words: str = "") -> FailureClass:
    """Classify a failure by its SQLSTATE, or by a program's words if it has none.

    Words are never evidence: without a SQLSTATE the result is not ``FailureClass.DATA``.
    """
    if sqlstate:
        return _BY_CODE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], FailureClass.UNKNOWN)
    return next(
        (meaning for meaning, known in _BY_WORDS if known.search(words)), FailureClass.UNKNOWN
    )


def no_verdict(
    meaning: FailureClass, cause: str, *, facts: Mapping[str, str] | None = None
) -> PgvowError:
    """Make the error that ends a check without a verdict; each meaning has its exit code."""
    kind = _KINDS.get(meaning, NoVerdict)
    return kind(cause, facts=facts, steps=_STEPS[meaning])


def failure_of(error: psycopg.Error, *, facts: Mapping[str, str] | None = None) -> PgvowError:
    """Translate an error of a session during a check: never a verdict on the data."""
    cause = str(error).strip() or type(error).__name__
    meaning = meaning_of(error.sqlstate, cause)
    if meaning is FailureClass.UNKNOWN and isinstance(error, psycopg.OperationalError):
        meaning = FailureClass.CONNECTION if error.sqlstate is None else meaning
    return no_verdict(meaning, cause, facts=facts)


def end_of_restore(
    meaning: FailureClass, cause: str, *, facts: Mapping[str, str] | None = None
) -> PgvowError | None:
    """Make the error for a restore that its surroundings ended; None if an entry may have."""
    step = _STEPS_OF_A_RESTORE.get(meaning)
    if step is None:
        return None
    kind = _KINDS.get(meaning, NoVerdict)
    return kind(cause, facts=facts, steps=[step, _RESTORE_AGAIN])


def end_of_session(
    error: psycopg.Error, *, facts: Mapping[str, str] | None = None
) -> PgvowError | None:
    """Translate an error of a session of ours during a restore, as ``end_of_restore`` does."""
    cause = str(error).strip() or type(error).__name__
    meaning = meaning_of(error.sqlstate, cause)
    if meaning is FailureClass.UNKNOWN and error.sqlstate is None:
        is_lost = isinstance(error, psycopg.OperationalError)
        meaning = FailureClass.CONNECTION if is_lost else meaning
    return end_of_restore(meaning, cause, facts=facts)


def lack_of_system(words: str, *, facts: Mapping[str, str] | None = None) -> PgvowError | None:
    """Make the error for a program's words about a full disk, memory or file handles."""
    meaning = meaning_of(None, words)
    if meaning in {FailureClass.DISK, FailureClass.MEMORY, FailureClass.HANDLES}:
        return no_verdict(meaning, words, facts=facts)
    return None


_KINDS: dict[FailureClass, type[PgvowError]] = {
    FailureClass.LACK: CannotBeProven,
    FailureClass.DISK: NoSpace,
    FailureClass.MEMORY: NoResources,
    FailureClass.HANDLES: NoResources,
    FailureClass.CONNECTION: ConnectionFailed,
}
_RESTORE_AGAIN = "Then restore again: what was half restored is no longer needed"
_STEPS_OF_A_RESTORE = {
    FailureClass.DISK: "See what fills the server's disk: df -h",
    FailureClass.MEMORY: "See what uses the memory there: free -h; use fewer connections: --jobs 2",
    FailureClass.HANDLES: "Allow more open files, here and for the server: ulimit -n 4096",
    FailureClass.CONNECTION: (
        "See whether the server was stopped or restarted, or the session ended: the server's log"
    ),
    FailureClass.STOPPED: (
        "See who or which limit stopped it: the server's log, ALTER ROLE … SET statement_timeout"
    ),
}
_NOTHING_RECORDED = "It is no verdict on the backup, and nothing was recorded: run it again"
_STEPS = {
    FailureClass.DATA: (
        "Look into the server's log for the moment of the failure",
        _NOTHING_RECORDED,
    ),
    FailureClass.LACK: ("Prove it on a server like the source's: pgvow prove FILE --on DSN",),
    FailureClass.DISK: (
        "See what fills the disk: df -h",
        "For a throw-away server, name a larger one: TMPDIR=/path pgvow prove FILE",
    ),
    FailureClass.MEMORY: (
        "Use fewer workers: --jobs 2; see what else runs there: free -h",
        _NOTHING_RECORDED,
    ),
    FailureClass.HANDLES: ("Allow more open files: ulimit -n 4096", _NOTHING_RECORDED),
    FailureClass.CONNECTION: (
        "See whether the server was stopped or restarted, or the session ended: the server's log",
        _NOTHING_RECORDED,
    ),
    FailureClass.STOPPED: (
        "See who or which limit stopped it: the server's log, ALTER ROLE … SET statement_timeout",
        _NOTHING_RECORDED,
    ),
    FailureClass.UNKNOWN: (
        "Look into the server's log for the moment of the failure",
        "See whether the file decodes: pgvow verify --deep FILE",
        _NOTHING_RECORDED,
    ),
}
