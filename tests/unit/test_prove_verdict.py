"""Causes that stop a restore: the backup's fault, this machine's, or the disk's."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_toc
from pgvow.errors import (
    CannotBeProven,
    ConnectionFailed,
    NoResources,
    NoSpace,
    NoVerdict,
    PgvowError,
)
from pgvow.model import Difference, DifferenceKind
from pgvow.operations.core.stages import FailedEntry
from pgvow.operations.prove.verdict import restore_difference
from pgvow.postgres.pg_restore import RestoreError
from tests.support.archives import Schema, Spec, build

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXTENSION, _TABLE, _COLLATION = 7, 8, 9  # as the writer numbers them
_TOC = read_toc(
    io.BytesIO(
        build(
            Spec(
                parts=(
                    Schema("postgis", "EXTENSION"),
                    Schema("orders", "TABLE"),
                    Schema("german", "COLLATION"),
                )
            )
        )
    )
)

# In the words of PostgreSQL's own sources.
_OF_THE_MACHINE = (
    "compression method lz4 not supported",
    "unsupported XML feature\nDETAIL:  This functionality requires the server to be built with x.",
    *(
        f'could not open {kind} file "/share/tsearch_data/ours.{end}": No such file or directory'
        for kind, end in (
            ("stop-word", "stop"),
            ("dictionary", "dict"),
            ("affix", "affix"),
            ("synonym", "syn"),
            ("thesaurus", "ths"),
            ("unaccent", "rules"),
        )
    ),
    'could not open file "/srv/prices.csv" for reading: No such file or directory',
    'could not find function "f" in file "/usr/lib/postgresql/ours.so"',
    'incompatible library "/usr/lib/postgresql/ours.so": version mismatch',
    'security label provider "anon" is not loaded',
    "no security label providers have been loaded",
    'could not connect to server "elsewhere"',
    "only superuser can define a leakproof function",
    "must have CREATEROLE privilege",
)
# And of what a backup's own rows and definitions can be, each with its SQLSTATE.
_OF_THE_BACKUP = (
    ("22P02", 'invalid input value for enum kind: "zstd"'),
    ("42P01", 'relation "server" does not exist'),
    ("23514", 'check constraint "t_check" of relation "t" is violated by some row'),
    ("22001", 'value too long\nCONTEXT:  COPY t, line 1, column body: "permission denied"'),
    (
        "23514",
        'violates check constraint "c"\nDETAIL:  Failing row contains (1, permission denied).',
    ),
    ("22P02", 'invalid input syntax for type integer: "No space left on device"'),
)


def _refused(words: str) -> str:
    return f"could not execute query: ERROR:  {words}\nCommand was: x"


def _judged(
    error: RestoreError, *, lacking: str | None, selection: Sequence[str] = ()
) -> Difference:
    entry = next((each for each in _TOC.entries if each.dump_id == error.dump_id), None)
    return restore_difference(FailedEntry(entry, error), lacking=lacking, selection=selection)


@pytest.mark.parametrize(("sqlstate", "words"), _OF_THE_BACKUP)
def test_a_sqlstate_about_the_data_is_a_difference(sqlstate: str, words: str) -> None:
    """A SQLSTATE about the data, and nothing of the machine: it is a difference."""
    error = RestoreError(None, _refused(words), sqlstate)
    assert DifferenceKind.RESTORE is _judged(error, lacking=None).kind


@pytest.mark.parametrize("words", [words for _, words in _OF_THE_BACKUP])
def test_words_without_sqlstate_are_no_verdict(words: str) -> None:
    """The same words without a SQLSTATE are no verdict, whatever they are."""
    with pytest.raises(PgvowError) as raised:
        _judged(RestoreError(None, _refused(words)), lacking=None)
    assert raised.value.status in {1, 5}


def test_a_failed_statement_is_a_difference_that_names_its_object() -> None:
    """An object that cannot be made is told by its name, in the server's words."""
    error = RestoreError(_TABLE, 'syntax error at or near "tabel"', "42601")
    expected = Difference(
        DifferenceKind.RESTORE, "TABLE public.orders", "restored", error.complaint
    )
    assert expected == _judged(error, lacking=None)


def test_an_error_of_a_worker_is_a_difference() -> None:
    """An error of a worker of pg_restore is a difference all the same."""
    error = RestoreError(None, 'COPY failed for table "t": ERROR: value too long', "22001")
    difference = _judged(error, lacking=None)
    assert (DifferenceKind.RESTORE, error.complaint) == (difference.kind, difference.found)


_NO_EVIDENCE = (
    ("53100", "could not extend file: Error 28", NoSpace),
    ("53200", "nicht genug Speicher", NoResources),
    ("53000", "zu viele offene Dateien", NoResources),
    ("53300", "zu viele Verbindungen", ConnectionFailed),
    ("08006", "x", ConnectionFailed),
    ("25P03", "x", ConnectionFailed),
    ("57P01", "breche Verbindung ab", ConnectionFailed),
    ("57P02", "x", ConnectionFailed),
    ("57P03", "x", ConnectionFailed),
    ("57P05", "x", ConnectionFailed),
    ("57014", "storniere Anfrage", NoVerdict),
    ("55P03", "x", NoVerdict),
    ("40001", "x", NoVerdict),
    ("40P01", "x", NoVerdict),
    ("58030", 'could not read file "base/5/16384": Input/output error', NoVerdict),
    ("XX000", "x", NoVerdict),
    ("XX001", "invalid page in block 7", NoVerdict),
    ("P0001", "raised by a function", NoVerdict),
    ("42P07", 'relation "t" already exists', NoVerdict),
    ("42501", "keine Berechtigung", CannotBeProven),
    ("0A000", "x", CannotBeProven),
    ("58P01", "x", CannotBeProven),
    (None, "could not write to file: wrote only 4096 of 8192 bytes", NoSpace),
    (None, "out of memory", NoResources),
    (None, "could not open input file: Too many open files", NoResources),
    (None, "server closed the connection unexpectedly", ConnectionFailed),
    (None, "connection to server at /tmp failed: FATAL: x", ConnectionFailed),
    (None, "FATAL: terminating connection due to administrator command", ConnectionFailed),
    (None, "ERROR: canceling statement due to user request", NoVerdict),
    (None, "a message of the year 2040", NoVerdict),
)


@pytest.mark.parametrize(("sqlstate", "words", "kind"), _NO_EVIDENCE)
def test_errors_not_about_the_data_are_no_verdict(
    sqlstate: str | None, words: str, kind: type[PgvowError]
) -> None:
    """Everything that is not about the data is no verdict, each by its own error and exit code."""
    with pytest.raises(PgvowError) as raised:
        _judged(RestoreError(_TABLE, _refused(words), sqlstate), lacking=None)
    assert kind is type(raised.value)


@pytest.mark.parametrize(
    ("dump_id", "complaint", "lacking", "kind"),
    [
        (_EXTENSION, "whatever it says", None, CannotBeProven),
        (_COLLATION, "could not create locale", None, CannotBeProven),
        (
            _TABLE,
            'collation "pg_catalog.de_DE" for encoding "UTF8" does not exist',
            None,
            CannotBeProven,
        ),
        (_TABLE, "ICU is not supported in this build", None, CannotBeProven),
        (_TABLE, 'could not access file "$libdir/mine": No such file', None, CannotBeProven),
        (_TABLE, "permission denied for schema x", None, CannotBeProven),
        *(
            (
                None,
                f"could not execute query: ERROR:  {words}\nCommand was: x",
                None,
                CannotBeProven,
            )
            for words in _OF_THE_MACHINE
        ),
        (_TABLE, 'no partition of relation "t" found for row', "no de_DE", CannotBeProven),
        (None, "this build does not support compression with zstd", None, CannotBeProven),
        (_TABLE, "could not extend file: No space left on device", None, NoSpace),
    ],
)
def test_limits_of_this_machine_are_no_verdict(
    dump_id: int | None, complaint: str, lacking: str | None, kind: type[PgvowError]
) -> None:
    """A limit of this machine is no verdict, a full disk no difference."""
    with pytest.raises(kind):
        _judged(RestoreError(dump_id, complaint), lacking=lacking)


def test_only_the_servers_words_decide_not_the_statements() -> None:
    """Only the server's words decide, not those of the statement that it refused."""
    complaint = (
        'could not execute query: ERROR:  type "kind" does not exist\n'
        "Command was: CREATE FUNCTION f(k kind) AS 'RAISE \"permission denied\"';"
    )
    difference = _judged(RestoreError(_TABLE, complaint, "42704"), lacking=None)
    assert complaint == difference.found


def test_a_row_without_partition_is_a_difference_if_no_collation_is_missing() -> None:
    """Only if another collation was substituted can it be the reason."""
    error = RestoreError(_TABLE, 'no partition of relation "t" found for row', "23514")
    assert DifferenceKind.RESTORE is _judged(error, lacking=None).kind


def test_objects_left_out_by_a_selection_are_no_verdict() -> None:
    """Only if something was left out, and only of objects that are not there."""
    error = RestoreError(_TABLE, 'schema "audit" does not exist', "3F000")
    with pytest.raises(CannotBeProven, match=r"only a part was backed up: --table=audit\.log"):
        _judged(error, lacking=None, selection=["--table=audit.log"])
    assert DifferenceKind.RESTORE is _judged(error, lacking=None).kind
    other = RestoreError(_TABLE, "value too long", "22001")
    selected = _judged(other, lacking=None, selection=["--table=audit.log"])
    assert DifferenceKind.RESTORE is selected.kind
