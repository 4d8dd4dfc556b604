"""A table is found by the name a person gives, and never by a guess."""

from __future__ import annotations

import io

import pytest

from pgvow.archive import read_toc
from pgvow.model import table_key
from pgvow.operations.archived_tables import TablesByName, UnknownTable
from tests.support.archives import Spec, Table, build

_TABLES = (
    ("public", "messages"),
    ("public", "Case"),
    ("public", "case"),
    ("public", "a.t"),
    ("public", '"a".t'),
    ("a", "t"),
    ("a", "b.c"),
    ("a.b", "c"),
    ("audit", "log"),
    ("archive", "log"),
    ("public", "two words"),
    ("public", "new\nline"),
    ("public", "it's"),
    ("public", "'"),
    ("public", '"'),
    ("public", "%s"),
)


def names() -> TablesByName:
    """The tables of an archive."""
    parts = tuple(Table(name, schema=schema) for schema, name in _TABLES)
    return TablesByName(read_toc(io.BytesIO(build(Spec(parts)))).table_data, frozenset({"root"}))


@pytest.mark.parametrize("pair", _TABLES, ids=str)
def test_every_key_of_table_counts_finds_its_table(pair: tuple[str, str]) -> None:
    """The names of ``table_counts`` and ``pgvow show`` are accepted."""
    entry = names().find(table_key(*pair))
    assert pair == (entry.namespace, entry.tag)


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("public.messages", ("public", "messages")),
        ('"messages"', ("public", "messages")),
        ('"public"."Case"', ("public", "Case")),
        ('"audit".log', ("audit", "log")),
        ('"a.b"."c"', ("a.b", "c")),
        ('a."b.c"', ("a", "b.c")),
        ("two words", ("public", "two words")),
        ("new\nline", ("public", "new\nline")),
        ("it's", ("public", "it's")),
        ("public.a.t", ("public", "a.t")),
        ("a.t", ("a", "t")),
        ('"', ("public", '"')),
    ],
)
def test_quoted_unquoted_and_public_names_are_accepted(name: str, pair: tuple[str, str]) -> None:
    """Quotes that are not needed, ``public`` spelled out, names as they are if that is clear."""
    entry = names().find(name)
    assert pair == (entry.namespace, entry.tag)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("a.b.c", ('"a.b".c', 'a."b.c"')),
        ("log", ("archive.log", "audit.log")),
        ("CASE", ("Case", "case")),
        ("mesages", ("messages",)),
        ("audit.lgo", ("audit.log",)),
        ("zzzzzzzzzzzz", ()),
    ],
)
def test_an_ambiguous_name_lists_near_names(name: str, close: tuple[str, ...]) -> None:
    """It lists what is close: the same name in another schema or case, or one spelled alike."""
    with pytest.raises(UnknownTable) as caught:
        names().find(name)
    assert 2 == caught.value.status
    assert close == caught.value.close[: len(close)]
    assert bool(close) == bool(caught.value.close)


def test_a_partitioned_table_is_told_from_a_missing_one() -> None:
    """A partitioned table is there, and its rows are its partitions'."""
    with pytest.raises(UnknownTable, match="the archive has no rows of root"):
        names().find("root")


def test_an_unknown_name_among_20000_is_answered_at_once() -> None:
    """An unknown name among twenty thousand is answered at once."""
    parts = tuple(Table(f"table_{number}") for number in range(20_000))
    many = TablesByName(read_toc(io.BytesIO(build(Spec(parts, compression="none")))).table_data)
    with pytest.raises(UnknownTable) as caught:
        many.find("tabel_77")
    assert caught.value.close
