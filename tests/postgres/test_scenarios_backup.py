"""Every scenario on every server: a stock restore gives back the counted rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_toc
from pgvow.model import table_key
from pgvow.operations.verify import VerifyOptions, verify_backup
from pgvow.store import StoredBackup, load_metadata
from tests.support.contexts import a_context
from tests.support.inprocess import back_up
from tests.support.restored import restore_fresh, rows_by_key
from tests.support.scenarios import Scenario, load, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import TestServer


@pytest.fixture
def loaded(server: TestServer, scenario: Scenario) -> Iterator[str]:
    """A database with the scenario in it."""
    name = load(server, scenario)
    yield name
    server.drop_database(name)


def at_root(counts: dict[str, int]) -> dict[str, int]:
    """Sum the leaves of the table that is hashed by an enum.

    An enum's hash comes from the oids of its values, which are others in another database: the
    rows find new partitions, and pg_dump has them loaded through the root for that reason.
    """
    leaves = {key: rows for key, rows in counts.items() if key.startswith("coloured_")}
    rest = {key: rows for key, rows in counts.items() if key not in leaves}
    return {**rest, "coloured": sum(leaves.values())}


@pytest.mark.parametrize(("scenario", "server"), pairs(), indirect=["server"])
def test_a_scenario_restores_with_stock_tools_as_counted(
    server: TestServer, scenario: Scenario, loaded: str, tmp_path: Path
) -> None:
    """Backup → verify → pg_restore into a fresh database → the same rows in the same tables."""
    result = back_up(server, loaded, tmp_path)
    dump = result.backup.path
    verified = verify_backup(StoredBackup.at(dump), VerifyOptions(pg_bin=server.bin), a_context({}))
    assert [] == [check for check in verified.checks if not check.passed]
    assert load_metadata(dump) == result.metadata
    counts = dict(result.metadata.table_counts)
    with dump.open("rb") as file:
        entries = read_toc(file).table_data
    assert len(entries) == len(counts)
    with restore_fresh(server, dump) as fresh:
        assert at_root(counts) == at_root(rows_by_key(server, fresh))
    if scenario.name != "empty":
        assert sum(counts.values()) > 0 or scenario.name == "no_rows"


def test_table_keys_with_dots_do_not_collide() -> None:
    """A table "b.c" in schema "a" and a table "c" in schema "a.b" have keys of their own."""
    keys = {
        table_key("a", "b.c"),
        table_key("a.b", "c"),
        table_key("public", "a.b.c"),
        table_key("public", '"a.b".c'),
        table_key("a b", "c"),
    }
    assert len(keys) == 5
