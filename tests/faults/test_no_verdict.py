"""Failures of the surroundings during a proof: each its exit code, none is held against it."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import NoSpace, PgvowError
from pgvow.operations.core.schema import schema_of
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.postgres.binaries import examine
from pgvow.postgres.pg_restore import ProofTools
from pgvow.store import StoredBackup, proof_path
from tests.support.commands import Commands, clean_environment
from tests.support.contexts import a_context
from tests.support.disks import mounted, needs_root
from tests.support.hostile_moments import MOMENTS, at, back_up_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import psutil

    from tests.conftest import StartServer
    from tests.support.servers import Servers, TestServer

_MAJOR = 18
_DONE, _UNFINISHED, _CONNECTION, _FULL = 0, 1, 3, 5


@pytest.fixture(scope="module")
def dumps(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """One sound backup for each step, shared by all tests of the file."""
    return back_up_each(servers.get(_MAJOR), tmp_path_factory.mktemp("dumps"))


def _prove(dump: Path, server: TestServer, on: str | None = None) -> int:
    """Prove a backup by calling the operation; return the exit code that it comes to."""
    environ = {**clean_environment(), "PGVOW_PG_BIN": str(server.bin)}
    try:
        result = prove_backup(
            StoredBackup.at(dump),
            ProveOptions(on=on, jobs=2, pg_bin=server.bin),
            a_context(environ),
        )
    except PgvowError as error:
        return error.status
    return _DONE if result.proven else 8


def _recorded(dump: Path) -> bytes | None:
    path = proof_path(dump)
    return path.read_bytes() if path.exists() else None


def _signal(signum: signal.Signals) -> Callable[[psutil.Process], None]:
    return lambda process: process.send_signal(signum)


def _stop_at_once(process: psutil.Process) -> None:
    postmaster = process.parent()
    assert postmaster is not None
    postmaster.send_signal(signal.SIGQUIT)


# What pg_cancel_backend and pg_terminate_backend send; a crash of one process; a fail-over.
_ACTIONS = {
    "cancel": (_signal(signal.SIGINT), _UNFINISHED),
    "terminate": (_signal(signal.SIGTERM), _CONNECTION),
    "crash": (_signal(signal.SIGKILL), _CONNECTION),
    "immediate shutdown": (_stop_at_once, _CONNECTION),
}


# Each action at each moment, and each with either kind of server: those by turns.
_ENDED = [
    (("throw-away", "given")[(turn + point) % 2], action, moment)
    for turn, action in enumerate(_ACTIONS)
    for point, moment in enumerate(MOMENTS)
]


@pytest.mark.majors(_MAJOR)
@pytest.mark.parametrize(("place", "action", "moment"), _ENDED)
def test_an_ended_server_or_session_is_no_verdict(
    place: str,
    action: str,
    moment: str,
    server: TestServer,
    dumps: Mapping[str, Path],
    start_server: StartServer,
) -> None:
    """A cancel, a termination, a crash, a shutdown at every step: no verdict, nothing kept."""
    act, expected = _ACTIONS[action]
    lasts = action in {"cancel", "terminate"}
    given = (server if lasts else start_server(_MAJOR)) if place == "given" else None
    before = _recorded(dumps[moment])
    with at(moment, act) as done:
        code = _prove(dumps[moment], server, given.conninfo("postgres") if given else None)
    assert done.is_set()
    assert expected == code
    assert before == _recorded(dumps[moment])


@needs_root
@pytest.mark.majors(_MAJOR)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_full_disk_of_the_server_exits_5(
    moment: str,
    server: TestServer,
    dumps: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Short writes of a throw-away server on a full disk are 5 at every step."""
    before = _recorded(dumps[moment])
    with _disk("300m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with at(moment, lambda process: _fill_meanwhile(process, disk)) as done:
            code = _prove(dumps[moment], server)
    assert done.is_set()
    assert _FULL == code
    assert before == _recorded(dumps[moment])


@contextlib.contextmanager
def _disk(size: str) -> Iterator[Path]:
    """Mount a disk that a server's own user can enter, which it could not below ``tmp_path``."""
    with tempfile.TemporaryDirectory(prefix="pgvow-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with mounted(Path(folder) / "d", f"size={size},mode=1777") as disk:
            yield disk


def _fill_meanwhile(process: psutil.Process, disk: Path) -> None:
    """Fill a disk while a server process stands still: that may take longer than its pause."""
    process.suspend()
    try:
        _fill(disk)
    finally:
        process.resume()


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 20)):
                pass
        except OSError:
            return


@needs_root
@pytest.mark.majors(_MAJOR)
def test_a_full_disk_of_temporary_files_exits_5(
    server: TestServer, dumps: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own temporary files on a full disk are 5, though the server has room."""
    dump = dumps["COPY"]
    before = _recorded(dump)
    with _disk("1m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        _fill(disk)
        assert _FULL == _prove(dump, server, server.conninfo("postgres"))
    assert before == _recorded(dump)


@needs_root
@pytest.mark.majors(_MAJOR)
def test_no_room_for_the_schema_dump_exits_5(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump's words about the disk that the restored schema is dumped to are 5."""
    installation = examine(server.bin, os.environ)
    assert installation is not None
    tools = ProofTools(installation, server, server.environment("postgres"))
    with _disk("1m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        _fill(disk)
        with pytest.raises(NoSpace, match="No space left on device"):
            schema_of(tools, "postgres")


@needs_root
@pytest.mark.majors(_MAJOR)
def test_initdb_on_a_full_disk_exits_5(
    server: TestServer,
    dumps: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Initdb on a full disk is 5, and no lack of programs."""
    with _disk("10m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        assert _FULL == _prove(dumps["COPY"], server)


@pytest.mark.majors(_MAJOR)
@pytest.mark.parametrize(
    "limit",
    [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    ],
)
def test_time_limits_of_the_role_do_not_end_a_proof(
    limit: str, server: TestServer, dumps: Mapping[str, Path]
) -> None:
    """A limit of a tenth of the time that a statement takes ends neither us nor a tool: proven."""
    role = server.unique_name("limited")
    server.psql(
        "postgres",
        f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{server.password}';"
        f" ALTER ROLE {role} SET {limit} = '200ms'",
    )
    dump = dumps["CREATE INDEX"]
    try:
        on = f"{server.conninfo('postgres')} user={role}"
        assert _DONE == _prove(dump, server, on)
    finally:
        server.psql("postgres", f"DROP ROLE {role}")
        proof_path(dump).unlink(missing_ok=True)


@pytest.mark.majors(_MAJOR)
@pytest.mark.parametrize("handles", [12, 16, 24])
def test_missing_file_handles_are_named_and_no_verdict(
    handles: int, server: TestServer, dumps: Mapping[str, Path], tmp_path: Path
) -> None:
    """Too few file handles are named, with the command that allows more, and are no verdict."""
    prefix = ("prlimit", f"--nofile={handles}")
    commands = Commands(tmp_path, {"PGVOW_PG_BIN": str(server.bin)}, prefix)
    before = _recorded(dumps["COPY"])
    done = commands.pgvow("prove", dumps["COPY"])
    assert _UNFINISHED == done.code, done.err
    assert "ulimit -n" in done.err
    assert before == _recorded(dumps["COPY"])
