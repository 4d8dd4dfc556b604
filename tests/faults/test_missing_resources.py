"""A resource that a machine, a server or a role lacks has its own exit code and is named."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import NoResources, NoVerdict, lack_of_resources
from pgvow.operations.verify import VerifyOptions, verify_and_record
from pgvow.store import StoredBackup, proof_path
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.contexts import a_context
from tests.support.inprocess import back_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.EMFILE, "x"),
        OSError(errno.ENFILE, "x"),
        OSError(errno.ENOMEM, "x"),
        RuntimeError("can't start new thread"),
    ],
)
def test_missing_memory_handles_and_processes_are_named(error: Exception) -> None:
    """Memory, file handles and processes: an error of its own with a step that helps."""
    lack = lack_of_resources(error)
    assert isinstance(lack, NoResources)
    assert lack.steps
    assert 1 == lack.status


@pytest.mark.parametrize("error", [OSError(errno.EIO, "x"), ValueError("out of memory")])
def test_other_os_errors_are_not_translated(error: Exception) -> None:
    """An error of another kind is not translated."""
    assert lack_of_resources(error) is None


@pytest.mark.majors(18)
@pytest.mark.parametrize("handles", [10, 14, 18])
def test_a_backup_without_file_handles_exits_7_with_the_command(
    handles: int, server: TestServer, database: str, tmp_path: Path
) -> None:
    """The backup is not made: 7, with the command that allows more."""
    server.psql(database, "CREATE TABLE t AS SELECT generate_series(1, 10) AS n")
    prefix = ("prlimit", f"--nofile={handles}")
    commands = Commands(tmp_path, settings_for(server, database), prefix)
    done = commands.pgvow("backup", "--jobs", "2")
    assert 7 == done.code, done.err
    assert "ulimit -n" in done.err


@pytest.mark.majors(15, 18)
@pytest.mark.parametrize(
    "why",
    ["NOCREATEDB", "CREATEDB CREATEROLE; ALTER ROLE {} SET default_transaction_read_only = on"],
)
def test_proving_on_a_read_only_server_exits_13_without_a_verdict(
    why: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    """A role that may not write cannot prove: 13, and nothing is recorded."""
    dump = back_up(server, database, tmp_path).backup.path
    role = server.unique_name("reader")
    server.psql(
        "postgres",
        f"CREATE ROLE {role} LOGIN PASSWORD '{server.password}'; ALTER ROLE {role} "
        + why.format(role),
    )
    try:
        commands = Commands(tmp_path, {"PGVOW_PG_BIN": str(server.bin)})
        on = f"{server.conninfo('postgres')} user={role}"
        done = commands.pgvow("prove", dump, "--on", on)
    finally:
        server.psql("postgres", f"DROP ROLE {role}")
    assert 13 == done.code, done.err
    assert not proof_path(dump).exists()


def _programs(server: TestServer, folder: Path, before: str) -> Path:
    """Lend the server's programs, with something done in pg_restore's process before it runs."""
    made = folder / "bin"
    made.mkdir()
    for program in server.bin.iterdir():
        if program.name != "pg_restore":
            (made / program.name).symlink_to(program)
    script = made / "pg_restore"
    script.write_text(
        "#!/bin/sh\n"
        f"export LD_LIBRARY_PATH={server.bin.parent / 'lib'}\n"
        f'case "$1" in --list) {before};; esac\n'
        f'exec {server.bin / "pg_restore"} "$@"\n'
    )
    script.chmod(0o755)
    return made


@pytest.mark.majors(18)
@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ("kill -9 $$", NoVerdict),
        ("kill -15 $$", NoVerdict),
        ("ulimit -n 3", NoResources),
    ],
)
def test_a_killed_pg_restore_list_is_no_verdict(
    before: str,
    kind: type[Exception],
    server: TestServer,
    database: str,
    tmp_path: Path,
) -> None:
    """A pg_restore that is killed, or has no handle for the file, says nothing of the archive."""
    dump = back_up(server, database, tmp_path).backup.path
    recorded = proof_path(dump).exists()
    with pytest.raises(kind):
        verify_and_record(
            StoredBackup.at(dump),
            VerifyOptions(pg_bin=_programs(server, tmp_path, before)),
            a_context({**clean_environment(), "PATH": os.environ["PATH"]}),
        )
    assert recorded == proof_path(dump).exists()
