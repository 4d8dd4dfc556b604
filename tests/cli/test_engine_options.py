"""``--jobs``, ``--engine`` and ``--compress``: effects, and values refused at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_toc
from tests.support.commands import Commands, settings_for
from tests.support.directories import left_in
from tests.support.held import programs_with
from tests.support.restored import restore_fresh, rows_by_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

_SETUP = "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 500) AS n"
_WAYS = {"gzip": "gzip", "gzip:1": "gzip", "gzip:9": "gzip", "zstd": "zstd", "zstd:3": "zstd"}


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell with a small database."""
    server.psql(database, _SETUP)
    return Commands(tmp_path, settings_for(server, database))


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_each_compression_is_recorded_and_restores(
    server: TestServer, commands: Commands, jobs: str, tmp_path: Path
) -> None:
    """Archive and metadata name each compression, and the archive restores."""
    for how, algorithm in {**_WAYS, "none": "none"}.items():
        done = commands.run("--json", "--no-globals", "--jobs", jobs, "--compress", how)
        assert 0 == done.code, done.err
        assert how == done.json["metadata"]["compression"]
        path = tmp_path / done.json["backup_path"]
        with path.open("rb") as file:
            assert algorithm == str(read_toc(file).header.compression)
        assert 0 == commands.pgvow("verify", "--deep", path).code
    with restore_fresh(server, path) as fresh:
        assert {"t": 500} == rows_by_key(server, fresh)


@pytest.mark.majors(15)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_zstd_is_refused_if_pg_dump_is_too_old_for_it(
    commands: Commands, jobs: str, tmp_path: Path
) -> None:
    """6, and what to use instead; nothing is left."""
    done = commands.run("--jobs", jobs, "--compress", "zstd:3")
    assert 6 == done.code, done.err
    assert "--compress gzip" in done.err
    assert [] == left_in(tmp_path / "db/backups")


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_zstd_is_refused_if_pg_dump_was_built_without_it(
    server: TestServer, commands: Commands, jobs: str, tmp_path: Path
) -> None:
    """6 as well, although only pg_dump can tell: its version does not."""
    script = (
        'case "$*" in *zstd*) echo "pg_dump: error: this build does not support compression with'
        f' ZSTD" >&2; exit 1;; esac; exec {server.bin}/pg_dump "$@"'
    )
    programs = programs_with(server.bin, tmp_path, "pg_dump", script)
    done = commands.run("--jobs", jobs, "--compress", "zstd", PGVOW_PG_BIN=str(programs))
    assert 6 == done.code, done.err
    assert "does not support compression with ZSTD" in done.err
    assert "--compress gzip" in done.err
    assert "pg_isready" not in done.err
    assert [] == left_in(tmp_path / "db/backups")


@pytest.mark.majors(18)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_warning_of_pg_dump_is_passed_on_once(
    server: TestServer, database: str, commands: Commands, jobs: str, tmp_path: Path
) -> None:
    """Once, however often it is run, and nothing of how it was ended."""
    server.psql(database, "SELECT lo_from_bytea(0, 'large')")
    script = f'echo "pg_dump: warning: look out" >&2; exec {server.bin}/pg_dump "$@"'
    programs = programs_with(server.bin, tmp_path, "pg_dump", script)
    done = commands.run("--jobs", jobs, "--json", PGVOW_PG_BIN=str(programs))
    assert 0 == done.code, done.err
    assert ["pg_dump: warning: look out"] == done.json["warnings"]


@pytest.mark.parametrize(
    "words",
    [
        ("--jobs", "0"),
        ("--jobs", "-1"),
        ("--jobs", "x"),
        ("--jobs", "1.5"),
        ("--compress", "lz4"),
        ("--compress", "gzip:0"),
        ("--compress", "gzip:10"),
        ("--compress", "zstd:23"),
        ("--compress", "none:1"),
        ("--compress", ""),
        ("--engine", "turbo"),
        ("--jobs", "65"),
    ],
    ids=" ".join,
)
def test_invalid_engine_options_exit_2_before_any_connection(
    words: tuple[str, str], tmp_path: Path
) -> None:
    """2, before anything is asked of a server."""
    done = Commands(tmp_path).run(*words)
    assert 2 == done.code, done.err
    assert words[0] in done.err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.majors(18)
def test_without_psql_the_reference_engine_serves_with_a_notice(
    server: TestServer, commands: Commands, database: str, tmp_path: Path
) -> None:
    """pg_dump does it alone, and it is said."""
    programs = tmp_path / "programs/bin"
    programs.mkdir(parents=True)
    (tmp_path / "programs/lib").symlink_to(server.bin.parent / "lib")
    for program in server.bin.iterdir():
        if program.name != "psql":
            (programs / program.name).symlink_to(program)
    done = commands.run("--json", "--engine", "parallel", PGVOW_PG_BIN=str(programs))
    assert 0 == done.code, done.err
    (warning,) = done.json["warnings"]
    assert "psql" in warning
    assert "using pg_dump alone" in warning
    assert "pg_dump" == done.json["metadata"]["engine"]
    assert {"t": 500} == done.json["metadata"]["table_counts"]
