"""The names of copies beside living tables, and the options that ask for them."""

from __future__ import annotations

import argparse

import pytest

from pgvow.cli.arguments import UsageProblem
from pgvow.cli.beside import beside_options
from pgvow.errors import ConfigurationError
from pgvow.operations.restore.beside_checks import require_usable
from pgvow.operations.restore.beside_names import free_name, named_after, parse_copy_name


@pytest.mark.parametrize(
    ("typed", "schema", "name"),
    [
        ("orders_before", None, "orders_before"),
        ("Old.orders", "Old", "orders"),
        ('"a.b"', None, "a.b"),
        ('"a ""x""".\'t\'', 'a "x"', "'t'"),
    ],
)
def test_a_name_is_read_as_it_stands(typed: str, schema: str | None, name: str) -> None:
    """With a schema before the dot or without, in quotes if it has a dot or quotes itself."""
    assert (schema, name) == parse_copy_name(typed)


@pytest.mark.parametrize("typed", ["", "a.b.c", ".a", "x" * 64, "ü" * 32, "a\0"])
def test_a_name_that_postgresql_would_cut_or_refuse_is_none(typed: str) -> None:
    """So is one with two dots, and one that is empty."""
    with pytest.raises(ConfigurationError):
        parse_copy_name(typed)


@pytest.mark.parametrize(
    ("name", "copy", "expected"),
    [
        ("orders_pkey", "orders_before", "orders_before_pkey"),
        ("by_day", "orders_before", "orders_before_by_day"),
        ("orders_pkey", "orders", "orders_pkey"),
        ("orders_pkey", "x" * 63, "x" * 58 + "_pkey"),
        ("n" * 63, "copy", "copy_" + "n" * 58),
        ("ü" * 31, "copy", "copy_" + "ü" * 29),
    ],
)
def test_parts_of_a_table_are_named_after_its_copy(name: str, copy: str, expected: str) -> None:
    """The table's name in it is replaced, or the copy's put before; 63 bytes are never passed."""
    assert expected == named_after(name, "orders", copy)
    assert len(expected.encode()) <= 63


def test_a_name_that_is_taken_gets_a_number() -> None:
    """The first that is free, within 63 bytes."""
    assert "a" == free_name("a", {"b"})
    assert "a_3" == free_name("a", {"a", "a_2"})
    assert "x" * 61 + "_2" == free_name("x" * 63, {"x" * 63})


def _typed(**typed: object) -> argparse.Namespace:
    defaults: dict[str, object] = {
        "into": "shop", "as_name": None, "as_schema": None, "table": ["orders"], "jobs": 2,
        "swap": False, "terminate": False, "schema_only": False, "globals": False,
        "no_owner": False, "owner_map": None, "yes": False,
    }  # fmt: skip
    return argparse.Namespace(**{**defaults, **typed})


def test_without_into_there_is_no_copy() -> None:
    """--to alone restores into a new database, as ever, and takes no name of a copy."""
    assert beside_options(_typed(into=None)) is None
    with pytest.raises(UsageProblem, match="--as names"):
        beside_options(_typed(into=None, as_name="a"))


@pytest.mark.parametrize("option", ["swap", "terminate", "schema_only", "globals"])
def test_options_of_a_new_database_do_not_go_with_into(option: str) -> None:
    """They are refused by name."""
    with pytest.raises(UsageProblem, match=f"--{option.replace('_', '-')} is for a new database"):
        beside_options(_typed(**{option: True}))


@pytest.mark.parametrize(
    "typed",
    [{"table": []}, {"table": ["a", "b"]}, {"table": ["a", "b"], "as_name": "c"}],
)
def test_several_tables_need_a_schema_and_none_is_refused(typed: dict[str, object]) -> None:
    """--as-schema takes any number of tables, --as one."""
    options = beside_options(_typed(**typed))
    assert options is not None
    with pytest.raises(ConfigurationError):
        require_usable(options)
    fitting = beside_options(_typed(table=["a", "b"], as_schema="old"))
    assert fitting is not None
    require_usable(fitting)
