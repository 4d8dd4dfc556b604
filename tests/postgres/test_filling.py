"""A database is filled from an archive: the result has the entries that the server refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_toc
from pgvow.operations.core.compare import compare_database
from pgvow.operations.core.fill import Filling
from pgvow.operations.core.stages import CheckedBackup
from pgvow.postgres.binaries import Installation
from pgvow.postgres.pg_restore import PgRestoreOptions, ProofTools, fails_harmlessly
from pgvow.postgres.reachable_server import DsnServer
from pgvow.postgres.restore_order import Stage
from pgvow.progress import Silent
from pgvow.store import StoredBackup
from pgvow.store.port import MemoryStore
from tests.support.commands import clean_environment
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

_ROWS = "CREATE TABLE t AS SELECT generate_series(1, 9) AS n;"
_TRIGGER = """
CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();
"""
# Two rows have the same value, but only after the function was replaced.
_UNIQUE_NO_MORE = """
CREATE FUNCTION g(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE UNIQUE INDEX i ON t (g(n));
CREATE OR REPLACE FUNCTION g(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
"""
_UNIQUE = "CREATE UNIQUE INDEX i ON t (n);"


class _Counting(MemoryStore):
    """A store in memory that counts how often a file is opened."""

    opened = 0

    def open(self, name: str) -> BinaryIO:
        """Open a file, and count it."""
        self.opened += 1
        return super().open(name)


def _filling(
    server: TestServer, source: str, into: str, directory: Path, *, jobs: int = 2
) -> Filling:
    result = back_up(server, source, directory)
    dump = result.backup.path
    with dump.open("rb") as file:
        toc = read_toc(file)
    entries = tuple(each for each in toc.entries if not fails_harmlessly(each, superuser=True))
    place = DsnServer(server.conninfo("postgres"))
    tools = ProofTools(Installation(server.bin, "", server.major), place, clean_environment())
    checked = CheckedBackup(StoredBackup.at(dump), result.metadata, toc, entries, tools)
    return Filling(checked, into, PgRestoreOptions(jobs=jobs))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_refused_entry_is_in_the_result_with_stage_and_message(
    pg18: TestServer, make_database: MakeDatabase, tmp_path: Path, jobs: int
) -> None:
    """It is the dump's own, with the stage and the message; the rows are there."""
    source, into = make_database(pg18), make_database(pg18)
    pg18.psql(source, _ROWS + _UNIQUE_NO_MORE)
    (failed,) = _filling(pg18, source, into, tmp_path, jobs=jobs).run()
    assert failed.entry is not None
    assert ("INDEX", "i") == (failed.entry.desc, failed.entry.tag)
    assert Stage.INDEXES is failed.error.stage
    assert "could not create unique index" in failed.error.complaint
    with pg18.connect(into) as session:
        assert (9,) == session.execute("SELECT count(*) FROM t").fetchone()


def test_from_a_store_that_is_no_directory(
    pg18: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """pg_restore's waves and the comparison read one copy of the dump, which is fetched once."""
    source, into = make_database(pg18), make_database(pg18)
    pg18.psql(source, _ROWS + _UNIQUE + _TRIGGER)
    filling = _filling(pg18, source, into, tmp_path)
    store = _Counting()
    with filling.backup.stored.open_dump() as file:
        store.put("shop.dump", file)
    with StoredBackup(store, "shop.dump").at_hand() as fetched:
        filling = replace(filling, backup=replace(filling.backup, stored=fetched))
        assert () == filling.run()
        with pg18.connect(into) as session:
            comparison = compare_database(
                session, filling.backup.metadata, filling.backup.stored, progress=Silent()
            )
        assert ((), 1, 9) == (comparison.differences, comparison.tables, comparison.rows)
        assert fetched.fetched is not None
        copy = fetched.fetched
        assert copy.exists()
    assert not copy.exists()
    assert 1 == store.opened


def test_event_triggers_are_restored_in_a_step_of_their_own(
    pg18: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Everything else is there before they are, and without a failure the results are empty."""
    source, into = make_database(pg18), make_database(pg18)
    pg18.psql(source, _ROWS + _TRIGGER)
    filling = _filling(pg18, source, into, tmp_path)
    assert () == filling.run()
    filling.release()
    with pg18.connect(into) as session:
        count = "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM pg_event_trigger)"
        assert (9, 0) == session.execute(count).fetchone()
        assert () == filling.event_triggers()
        assert (9, 1) == session.execute(count).fetchone()
