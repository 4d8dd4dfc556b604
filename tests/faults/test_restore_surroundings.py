"""A restore that its surroundings end has the code of their cause, and leaves no database."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ConnectionFailed, NoSpace, NoVerdict, PgvowError, RestoreFailed
from pgvow.operations.core.stages import FailedEntry
from pgvow.operations.restore.failure import restore_failure
from pgvow.postgres.binaries import Installation
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.pg_restore import RestoreError, RestoreTools
from pgvow.settings import load
from tests.support.commands import clean_environment, settings_for
from tests.support.hostile_moments import MOMENTS, at, back_up_each
from tests.support.inprocess import back_up
from tests.support.restoring import databases, restore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import StartServer
    from tests.support.servers import Servers, TestServer

_MAJOR = 18
pytestmark = pytest.mark.majors(_MAJOR)


@pytest.fixture(scope="module")
def dumps(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """One sound backup for each step, shared by all tests of the file."""
    return back_up_each(servers.get(_MAJOR), tmp_path_factory.mktemp("dumps"))


_ACTIONS = {
    "cancel": (signal.SIGINT, NoVerdict, 1),
    "terminate": (signal.SIGTERM, ConnectionFailed, 3),
    "crash": (signal.SIGKILL, ConnectionFailed, 3),
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("action", _ACTIONS)
def test_an_ended_session_exits_1_or_3_and_not_10(
    action: str,
    moment: str,
    jobs: int,
    server: TestServer,
    dumps: Mapping[str, Path],
    start_server: StartServer,
) -> None:
    """A cancel is 1, a session or a server that was ended is 3: not 10, which is of an entry."""
    signum, kind, code = _ACTIONS[action]
    given = start_server(_MAJOR) if action == "crash" else server
    name = given.unique_name("pgvow_proof_")  # where the backup's own code pauses
    with (
        pytest.raises(PgvowError) as caught,
        at(moment, lambda process: process.send_signal(signum)) as done,
    ):
        restore(given, dumps[moment], name, jobs=jobs)
    assert done.is_set()
    assert (kind, code) == (type(caught.value), caught.value.status), caught.value
    assert caught.value.steps
    if action != "crash":
        assert not [one for one in databases(given) if one.startswith(name)]


def test_a_refused_entry_exits_10_whatever_its_rows_contain(
    server: TestServer, database: str, tmp_path: Path
) -> None:
    """It is 10 as ever, though a row of it has the words of a full disk and a lost connection."""
    server.psql(
        database,
        """CREATE TABLE t (said text);
        INSERT INTO t VALUES ('No space left on device: terminating connection, out of memory');
        CREATE FUNCTION fits(t text) RETURNS boolean LANGUAGE sql AS 'SELECT $1 = ''x''';
        ALTER TABLE t ADD CHECK (current_database() NOT LIKE '%again%' OR public.fits(said))""",
    )
    dump = back_up(server, database, tmp_path).backup.path
    with pytest.raises(RestoreFailed, match="violates check constraint") as caught:
        restore(server, dump, server.unique_name("again"))
    assert 10 == caught.value.status


@pytest.mark.parametrize(
    ("words", "lost", "expected"),
    [
        ("ERROR:  canceling statement due to user request", None, 1),
        ("FATAL:  terminating connection due to administrator command", None, 3),
        ("server closed the connection unexpectedly", None, 3),
        ("ERROR:  could not open file: Too many open files in system", None, 1),
        ("ERROR:  out of memory\nDETAIL:  Failed on request of size 5.", None, 1),
        ("ERROR:  could not extend file: No space left on device", None, 5),
        ("FEHLER:  etwas anderes", "the connection is lost", 3),
        ("ERROR:  could not extend file: No space left on device", "the connection is lost", 5),
        ("FEHLER:  etwas anderes", None, 10),
        ("ERROR:  out of shared memory\nHINT:  increase max_locks_per_transaction.", None, 10),
    ],
)
def test_unknown_words_exit_10_and_a_lost_session_3(
    words: str, lost: str | None, expected: int, server: TestServer, tmp_path: Path
) -> None:
    """An unknown message stays 10; a session beside it that was lost is 3."""
    environ = {**clean_environment(), **settings_for(server, "postgres")}
    target = ConnectionTarget(load(env="dev", environ=environ, directory=tmp_path).connection)
    installation = Installation(server.bin, "18.0", _MAJOR)
    failed = FailedEntry(None, RestoreError(None, words))
    error = restore_failure(failed, RestoreTools(installation, target), lost=lost)
    assert expected == error.status
    assert (expected == 5) == isinstance(error, NoSpace)
