"""extract by primary key, and as INSERT statements, on synthetic archives."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import CopyTextError, decode_field, encode_field, picker, whole_rows
from pgvow.errors import ConfigurationError
from pgvow.operations.extract import ExtractOptions, NoSuchRow, RowFormat, extract_table
from pgvow.operations.row_statements import KeyColumn, TableStatements, comment, literal
from pgvow.store import StoredBackup
from tests.support.archives import Schema, Spec, Table, build
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from pathlib import Path

_ORDERS = b"17\tfirst\\tline\n18\t\\N\n170\tO'Neil \\\\\n"
_LINES = b"1\ta,b\tx\n1\tc=d\ty\n2\ta,b\tz\n"


def _key(table: str, columns: str, more: str = "") -> Schema:
    defn = f"ALTER TABLE ONLY public.{table}\n    ADD CONSTRAINT k PRIMARY KEY ({columns}){more};\n"
    return Schema(f"{table} k", "CONSTRAINT", defn, section=3)


def _table(name: str, columns: str, rows: bytes) -> Table:
    return Table(name, rows, copy_stmt=f"COPY public.{name} ({columns}) FROM stdin;\n")


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Some tables with keys, and one without."""
    parts = (
        _table("orders", "id, note", _ORDERS),
        _table("lines", 'shop, "an, item", note', _LINES),
        _table("log", "note", b"x\n"),
        _key("orders", "id", " DEFERRABLE"),
        _key("lines", 'shop, "an, item"', " INCLUDE (note) WITH (fillfactor='70')"),
        Schema("log other", "CONSTRAINT", "ALTER TABLE ONLY public.log\n ADD CONSTRAINT u UNIQUE"),
    )
    path = tmp_path / "it.dump"
    path.write_bytes(build(Spec(parts)))
    return path


def _extract(path: Path, table: str, *keys: str, how: RowFormat = RowFormat.COPY) -> bytes:
    sink = io.BytesIO()
    options = ExtractOptions(table, how, sink, keys)
    try:
        extract_table(StoredBackup.at(path), options, a_context({}))
    except NoSuchRow as error:
        error.written = sink.getvalue()  # type: ignore[attr-defined]
        raise
    return sink.getvalue()


def test_rows_come_by_the_whole_value_of_their_key(dump: Path) -> None:
    """17 is not 170; the order is the archive's; CSV and COPY have the same rows."""
    assert b"17\tfirst\\tline\n170\tO'Neil \\\\\n" == _extract(dump, "orders", "170", "17")
    assert b"id,note\r\n18,\r\n" == _extract(dump, "orders", "18", how=RowFormat.CSV)


def test_a_key_of_several_columns_is_a_line_of_csv(dump: Path) -> None:
    """Columns in any order; a comma in a value or a name is quoted; a value may have an =."""
    assert b"1\ta,b\tx\n" == _extract(dump, "lines", '"an, item=a,b",shop=1')
    assert b"1\tc=d\ty\n" == _extract(dump, "lines", 'shop=1,"an, item=c=d"')


@pytest.mark.parametrize(
    "typed", ["1", "shop=1", "shop=1,shop=2", 'shop=1,"an, item=a', "", "a=1,b=2"]
)
def test_a_wrong_key_of_several_columns_names_them(typed: str, dump: Path) -> None:
    """The error has the columns of the key, and the form to type."""
    with pytest.raises(ConfigurationError, match="which is \\(shop, an, item\\)") as refused:
        _extract(dump, "lines", typed)
    assert "--where-key 'shop=VALUE,\"an, item=VALUE\"'" in refused.value.steps[0]


def test_a_missing_key_is_named_behind_the_rows_that_are_there(dump: Path) -> None:
    """Exit code 2, as for a table that is unknown; the others are written."""
    with pytest.raises(NoSuchRow, match="no row with the key 19, id=17") as refused:
        _extract(dump, "orders", "19", "18", "id=17")
    assert b"18\t\\N\n" == refused.value.written  # type: ignore[attr-defined]
    assert (2, ("19", "id=17")) == (refused.value.exit_code, refused.value.missing)
    assert {"Primary key": "id"} == dict(refused.value.facts)


def test_a_table_without_a_primary_key_is_refused(dump: Path) -> None:
    """A unique constraint is none: it may have rows without a value."""
    with pytest.raises(ConfigurationError, match="log has no primary key in this archive"):
        _extract(dump, "log", "x")


def test_a_value_that_the_encoding_lacks_is_refused(tmp_path: Path) -> None:
    """It cannot be in the archive; that is said, and is no traceback."""
    path = tmp_path / "it.dump"
    parts = (_table("orders", "id", b"\xe9\n"), _key("orders", "id"))
    path.write_bytes(build(Spec(parts, encoding="LATIN1", codec="latin-1")))
    assert b"\xe9\n" == _extract(path, "orders", "é")
    with pytest.raises(ConfigurationError, match="is not in LATIN1"):
        _extract(path, "orders", "€")


def test_inserts_are_one_transaction_with_plain_literals(dump: Path) -> None:
    """A backslash and a colon are themselves, a quote is doubled, NULL is NULL."""
    text = _extract(dump, "orders", how=RowFormat.INSERT)
    assert text.startswith(b"BEGIN;\nSET LOCAL client_encoding = 'UTF8';\n")
    assert b"SET LOCAL standard_conforming_strings = 'on';\n" in text
    assert text.endswith(
        b"""INSERT INTO "public"."orders" ("id", "note") VALUES ('17', 'first\tline');\n"""
        b"""INSERT INTO "public"."orders" ("id", "note") VALUES ('18', NULL);\n"""
        b"""INSERT INTO "public"."orders" ("id", "note") VALUES ('170', 'O''Neil \\');\n"""
        b"COMMIT;\n"
    )


@pytest.mark.parametrize("attached", [False, True])
def test_an_identity_column_is_overridden(attached: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Of the table itself, or of the one that it is a partition of; not of any other."""
    owner = "parent" if attached else "orders"
    defn = (
        f"ALTER TABLE public.{owner} ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n"
        "    SEQUENCE NAME public.s\n);\n"
    )
    attach = "ALTER TABLE ONLY public.parent ATTACH PARTITION public.orders FOR VALUES IN (1);\n"
    parts = (
        _table("orders", "id", b"1\n"),
        _table("other", "id", b"1\n"),
        Schema("s", "SEQUENCE", defn),
        Schema("orders", "TABLE ATTACH", attach),
    )
    path = tmp_path / "it.dump"
    path.write_bytes(build(Spec(parts)))
    assert b'("id") OVERRIDING SYSTEM VALUE VALUES' in _extract(
        path, "orders", how=RowFormat.INSERT
    )
    assert b"OVERRIDING" not in _extract(path, "other", how=RowFormat.INSERT)


def test_rows_are_whole_however_the_text_is_cut() -> None:
    """Every cut gives the same rows; a row of another width, or without an end, is refused."""
    text = b"1\ta\n2\t\n\t\\\\\n"
    for size in range(1, len(text)):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert [b"1\ta", b"2\t", b"\t\\\\"] == [
            row for rows in whole_rows(pieces, 2) for row in rows
        ]
    for wrong in (b"1\n", b"1\t2\t3\n", b"1\t2", b"1\t\0\n"):
        with pytest.raises(CopyTextError):
            list(whole_rows([wrong], 2))
    assert [[b"", b""]] == list(whole_rows([b"\n\n"], 0))
    with pytest.raises(CopyTextError):
        list(whole_rows([b"1\n"], 0))


def test_fields_are_picked_by_their_places() -> None:
    """In the order of the places; all of them is the row."""
    row = b"a\tb\tc"
    for places, picked in (
        ((0,), b"a"),
        ((2, 0), b"c\ta"),
        ((0, 1, 2), row),
        ((2, 1, 0), b"c\tb\ta"),
    ):
        assert picked == picker(places, 3)(row)


def test_an_encoded_field_is_decoded_to_itself() -> None:
    r"""Every byte that COPY escapes, and ``\N`` as a text."""
    value = bytes(range(1, 256)) + b"\\N\\.\\\\n"
    assert value == decode_field(encode_field(value))
    assert rb"\\N" == encode_field(rb"\N")


def test_statements_quote_every_name_and_value() -> None:
    """A quote, a backslash and a line break in a name stay in it; only changed columns are set."""
    table = TableStatements(b's"x', b"t\n\\!", (b"k", b"a;", b"b"), (KeyColumn(0),))
    row, other = b"1\t'\\\\\t\\N", b"1\t'\\\\\tz"
    assert b'UPDATE ONLY "s""x"."t\n\\!" SET "b" = NULL WHERE "k" = \'1\';\n' == table.update(
        row, other
    )
    assert b'DELETE FROM ONLY "s""x"."t\n\\!" WHERE "k" = \'1\';\n' == table.delete(row)
    assert b"'''\\'" == literal(b"'\\\\")
    assert b'INSERT INTO "s""x"."t\n\\!" DEFAULT VALUES;\n' == TableStatements(
        table.schema, table.name, ()
    ).insert(b"")
    assert 1 == comment("a\n\u2028\x00é").count(b"\n")
