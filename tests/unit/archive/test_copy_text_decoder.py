"""COPY text is decoded as COPY encoded it, however it is cut; malformed text is refused."""

from __future__ import annotations

import csv
import io
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.archive import CopyTextError, csv_header, csv_rows
from pgvow.archive.csv_text import decode_field, unescape, whole_escapes
from tests.support.copy_model import copy_field, copy_row, csv_value

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALPHABET = b'\\\\\\\t\n\r\b\f\v",.Nxnt0a \xe9\xff'
VALUES = (
    st.none()
    | st.binary(max_size=40).filter(lambda value: b"\0" not in value)
    | st.lists(st.sampled_from(_ALPHABET), max_size=12).map(bytes)
)
COLUMNS = st.integers(min_value=1, max_value=4)
TABLES = COLUMNS.flatmap(
    lambda count: st.tuples(
        st.just(count), st.lists(st.lists(VALUES, min_size=count, max_size=count), max_size=6)
    )
)


def cut(text: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut a text at the places, which may lie beyond it."""
    edges = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


def as_csv(text: bytes, columns: int, *, places: Sequence[int] = (), long: int = 1 << 20) -> bytes:
    """Turn a whole COPY text into CSV, given in pieces."""
    return b"".join(csv_rows(cut(text, places), columns, long=long))


@given(VALUES)
def test_decoding_undoes_copy_encoding(value: bytes | None) -> None:
    """Decoding a value that COPY encoded gives the value."""
    assert value == decode_field(copy_field(value))


@given(TABLES, st.lists(st.integers(min_value=0, max_value=1000), max_size=5))
def test_rows_become_csv_however_the_text_is_cut(
    table: tuple[int, list[list[bytes | None]]], places: list[int]
) -> None:
    """Every row, wherever the text was cut: NULL is an empty field, an empty text is quoted."""
    columns, rows = table
    text = b"".join(map(copy_row, rows))
    expected = b"".join(b",".join(map(csv_value, row)) + b"\r\n" for row in rows)
    assert expected == as_csv(text, columns, places=places)


@given(TABLES, st.lists(st.integers(min_value=0, max_value=1000), max_size=8))
def test_long_values_are_emitted_in_pieces(
    table: tuple[int, list[list[bytes | None]]], places: list[int]
) -> None:
    """With every value counted as long, another reader of CSV reads the same from it."""
    columns, rows = table
    text = b"".join(map(copy_row, rows))
    found = as_csv(text, columns, places=places, long=0)
    assert read_back(found) == read_back(as_csv(text, columns))


def read_back(text: bytes) -> list[list[str]]:
    """Read CSV by Python's own reader."""
    return list(csv.reader(io.StringIO(text.decode("latin-1"), newline=""), strict=True))


@given(TABLES)
def test_the_csv_module_reads_the_same_values(table: tuple[int, list[list[bytes | None]]]) -> None:
    """Python's reader of CSV finds the values that were written."""
    columns, rows = table
    found = read_back(as_csv(b"".join(map(copy_row, rows)), columns))
    wanted = [[(value or b"").decode("latin-1") for value in row] for row in rows]
    # A row of one empty field is an empty line, which this reader has no fields for.
    assert [row if row != [""] else [] for row in wanted] == [
        row if row != [""] else [] for row in found
    ]


@given(st.binary(max_size=30))
def test_an_incomplete_escape_is_held_back(raw: bytes) -> None:
    """Only a backslash whose other half has not come is held back."""
    kept = whole_escapes(raw)
    assert raw[kept:] in (b"", b"\\")
    assert (raw[:kept].count(b"\\") - raw.count(b"\\")) in (0, -1)


@pytest.mark.parametrize("raw", [b"\\q", b"a\\", b"\\101", b"\\x41", b"\\N\\N", b"\\.", b"\\n\0"])
def test_escapes_that_copy_never_writes_are_refused(raw: bytes) -> None:
    """Unknown escapes, lone backslashes, octal and hexadecimal ones, zero bytes."""
    with pytest.raises(CopyTextError):
        unescape(raw)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (b"1\t2\n", 1),
        (b"1\n", 2),
        (b"1\t2\t3\n", 2),
        (b"x\n", 0),
        (b"1", 1),
        (b"1\n2", 1),
        (b"\\q\n", 1),
    ],
)
@pytest.mark.parametrize("long", [1 << 20, 0])
def test_malformed_copy_text_is_refused(text: bytes, columns: int, long: int) -> None:
    """Rows with another number of fields, rows without an end, escapes that are none."""
    for places in ((), tuple(range(len(text)))):
        with pytest.raises(CopyTextError):
            as_csv(text, columns, places=places, long=long)


def test_a_table_without_columns_has_empty_lines() -> None:
    """Its rows are empty lines in COPY and in CSV."""
    assert b"\r\n" * 3 == as_csv(b"\n\n\n", 0)
    assert b"\r\n" == csv_header([])


def test_column_names_in_the_header_are_quoted_if_needed() -> None:
    """Column names are values like others."""
    expected = b'id,"a,b","say ""x""","two\nlines"\r\n'
    assert expected == csv_header([b"id", b"a,b", b'say "x"', b"two\nlines"])


def test_memory_is_bounded_for_a_64_mb_value() -> None:
    """A value of 64 MB passes in pieces no larger than the input and the limit for long values."""
    piece = b"a\\\\b\\n" * 20_000
    pieces = [b"1\t", *[piece] * 530, b"\t2\n", b"3\t4\t5\n"]
    largest = total = 0
    for part in csv_rows(pieces, 3):
        largest = max(largest, len(part))
        total += len(part)
    assert total == len(b'1,""') + 530 * len(b"a\\b\n") * 20_000 + len(b",2\r\n3,4,5\r\n")
    assert largest < (1 << 20) + 2 * len(piece)
