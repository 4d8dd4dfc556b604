"""The parallel engine's archive is pg_dump's: the same script, the same list, and it restores."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_archive
from tests.support.engines import (
    dump_by_pg_dump,
    dump_in_parallel,
    list_of,
    script_of,
)
from tests.support.scenarios import Scenario, load, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pgvow.engine import FilledArchive
    from tests.support.servers import TestServer

_JOBS = (1, 2, 3, 4)


@pytest.fixture
def loaded(server: TestServer, scenario: Scenario) -> Iterator[str]:
    """A database with the scenario in it."""
    name = load(server, scenario)
    yield name
    server.drop_database(name)


def ways(server: TestServer, scenario: Scenario) -> list[tuple[str, int]]:
    """Which compressions, how many jobs: all for PGVOW_TEST_ALL, else one or two by turns."""
    compressions = ["gzip"] if server.major < 16 else ["gzip", "zstd"]
    every = [(compress, jobs) for compress in compressions for jobs in _JOBS]
    if "PGVOW_TEST_ALL" in os.environ:
        return every
    turn = zlib.crc32(f"{scenario.name} {server.major}".encode())
    shifts = (0, 1 + len(every) // 2) if server.major in (15, 18) else (0,)
    return [every[(turn + shift) % len(every)] for shift in shifts]


def assert_known(filled: FilledArchive, path: Path) -> None:
    """The engine's facts of the archive equal those of a reading, and the counts."""
    assert filled.contents is not None
    with path.open("rb") as file:
        assert read_archive(file) == filled.contents
    assert {table.entry.oid: table.rows for table in filled.contents.tables} == {
        oid: facts.rows for oid, facts in filled.facts.items()
    }


@pytest.mark.parametrize(("scenario", "server"), pairs(), indirect=["server"])
def test_script_and_list_equal_those_of_pg_dump(
    server: TestServer, scenario: Scenario, loaded: str, tmp_path: Path
) -> None:
    """``pg_restore -f -`` and ``--list`` of both are the same, whatever compression and jobs."""
    for compress, jobs in ways(server, scenario):
        path = tmp_path / f"{jobs}-{compress}.dump"
        filled = dump_in_parallel(server, loaded, path, compress=compress, jobs=jobs)
        assert_known(filled, path)
        reference = dump_by_pg_dump(server, loaded, tmp_path / f"ref-{compress}", compress=compress)
        assert script_of(server, reference) == script_of(server, path)
        assert list_of(server, reference) == list_of(server, path)
