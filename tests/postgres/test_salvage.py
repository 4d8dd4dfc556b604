"""salvage on dumps of real servers, of both engines: what is saved restores, and is reported."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.archive import read_toc
from pgvow.engine import DumpOptions
from pgvow.model import Compress
from pgvow.operations.backup import BackupOptions, make_backup
from pgvow.operations.salvage import SalvageOptions, Vouched, salvage_backup
from pgvow.settings import load
from pgvow.store import StoredBackup
from tests.support.commands import Commands, clean_environment, settings_for
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.operations.salvage import SalvageResult
    from tests.support.servers import TestServer

BLOCK = 4096
_ROWS = 30_000
_SCHEMA = """
CREATE TABLE big AS SELECT n, md5(n::text) || repeat(' word', (n % 9)::int) AS text, NULL AS no
    FROM generate_series(1, 30000) AS n;
ALTER TABLE big ADD PRIMARY KEY (n);
CREATE TABLE small AS SELECT n, E'tab\\tand\\\\ line\\n' AS text FROM generate_series(1, 50) AS n;
CREATE TABLE empty (a int);
SELECT lo_from_bytea(990000 + n, decode(string_agg(md5((n * 1000 + i)::text), ''), 'hex'))
    FROM generate_series(1, 5) AS n, generate_series(1, 500) AS i GROUP BY n ORDER BY n;
"""
_SETTINGS = {
    15: (("gzip", 1), ("none", 1), ("gzip", 2), ("none", 2)),
    18: (("zstd", 1), ("zstd", 2)),
}


@pytest.fixture(scope="module")
def made(
    server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[tuple[str, int], Path]]]:
    """A database, and its dump in each compression by each engine; tests work on copies."""
    name = server.unique_name("salvage")
    server.create_database(name)
    server.psql(name, _SCHEMA)
    environ = {**clean_environment(), **settings_for(server, name)}
    dumps = {}
    for compression, jobs in _SETTINGS[server.major]:
        folder = tmp_path_factory.mktemp("made")
        dump = DumpOptions(parallel=jobs > 1, jobs=jobs, compress=Compress.parse(compression))
        options = BackupOptions(output_dir=folder, space_factor=0, dump=dump)
        settings = load(env="dev", environ=environ, directory=folder)
        dumps[compression, jobs] = make_backup(settings, options, a_context(environ)).backup.path
    yield name, dumps
    server.drop_database(name)


def place_of(path: Path, tag: str) -> tuple[int, int]:
    """Return start and end of a table's block."""
    with path.open("rb") as file:
        offsets = {entry.tag: entry.data_offset or 0 for entry in read_toc(file).with_data}
    end = min((each for each in offsets.values() if each > offsets[tag]), default=0)
    return offsets[tag], end or path.stat().st_size


def copied(dump: Path, folder: Path) -> Path:
    """Copy a dump with its metadata."""
    shutil.copy(dump.with_suffix(".metadata.json"), folder)
    return Path(shutil.copy(dump, folder))


def zero(path: Path, start: int, size: int = BLOCK) -> None:
    """Zero a range of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))


def salvaged(path: Path) -> SalvageResult:
    """Salvage a dump into a new one beside it."""
    options = SalvageOptions(path.with_name("saved.dump"))
    return salvage_backup(StoredBackup.at(path), options, a_context())


def restored(server: TestServer, dump: Path, target: str) -> None:
    """Restore with PostgreSQL's own tool, which must have nothing to complain of."""
    program = server.bin / "pg_restore"
    argv = [program, "--exit-on-error", "--no-owner", "--dbname", target, dump]
    done = subprocess.run(
        argv, env=server.environment(target), capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.majors(15, 18)
def test_salvaged_rows_are_restored_by_pg_restore_as_the_source_has_them(
    server: TestServer,
    made: tuple[str, dict[tuple[str, int], Path]],
    tmp_path: Path,
    database: str,
) -> None:
    """A block in the midst of the big table is lost: every row that comes back is a source's."""
    source, dumps = made
    with server.connect(source) as session:
        rows = set(session.execute("SELECT * FROM big").fetchall())
        small = session.execute("SELECT * FROM small ORDER BY n").fetchall()
    for number, (kind, dump) in enumerate(dumps.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = copied(dump, folder)
        start, end = place_of(path, "big")
        zero(path, (start + end) // 2 // BLOCK * BLOCK)
        result = salvaged(path)
        tables = {table.name: table for table in result.tables}
        big = tables.pop("big")
        assert {Vouched.FINGERPRINT} == {table.vouched for table in tables.values()}, kind
        assert (_ROWS, False, Vouched.DAMAGE_SEEN) == (big.rows, big.is_whole, big.vouched), kind
        assert _ROWS - (big.saved or 0) == big.missing, kind
        assert 0.4 < (big.saved or 0) / _ROWS < (0.6 if kind in (("gzip", 1), ("zstd", 1)) else 1)
        assert (5, True) == (result.large_objects.saved, result.large_objects.vouched), kind
        if number:
            server.psql(database, "DROP TABLE big, small, empty; SELECT lo_unlink(oid) FROM "
                        "pg_largeobject_metadata")  # fmt: skip
        restored(server, result.output, database)
        with server.connect(database) as session:
            back = session.execute("SELECT * FROM big").fetchall()
            assert big.saved == len(back) == len(rows & set(back)), kind
            assert small == session.execute("SELECT * FROM small ORDER BY n").fetchall(), kind


@pytest.mark.majors(15, 18)
def test_a_dump_that_is_whole_is_copied_and_nothing_is_missing(
    made: tuple[str, dict[tuple[str, int], Path]],
    tmp_path: Path,
) -> None:
    """The exit code is 0, and the bytes are the same; a second time the name is taken."""
    dump = next(iter(made[1].values()))
    new = tmp_path / "new.dump"
    argv = ["salvage", str(dump), "--output", str(new), "--json"]
    commands = Commands(tmp_path)
    done = commands.pgvow(*argv)
    assert done.code == 0
    document = done.json
    assert {"fingerprint"} == {table["vouched"] for table in document["tables"]}
    assert document["complete"]
    assert document["definitions_vouched"]
    assert dump.read_bytes() == new.read_bytes()
    assert new.stat().st_mode & 0o777 == 0o600
    assert commands.pgvow(*argv).code == 2
    assert dump.read_bytes() == new.read_bytes()
    assert [new] == list(tmp_path.iterdir())


@pytest.mark.majors(15)
def test_a_lost_large_object_is_named_and_the_others_are_saved(
    made: tuple[str, dict[tuple[str, int], Path]],
    tmp_path: Path,
) -> None:
    """The exit code is 8, the report names the oid, and nothing is written over the file."""
    path = copied(made[1]["gzip", 1], tmp_path)
    start, end = place_of(path, "BLOBS")
    zero(path, (start + end) // 2, 20)
    before = path.read_bytes()
    done = Commands(tmp_path).pgvow("salvage", path, "--output", "new.dump")
    assert done.code == 8
    assert "large objects: 4 saved, 1 missing (990003)" in done.out
    assert before == path.read_bytes()


@pytest.mark.majors(15)
def test_without_its_table_of_contents_a_dump_is_refused_with_the_steps_that_are_left(
    made: tuple[str, dict[tuple[str, int], Path]],
    tmp_path: Path,
) -> None:
    """Nothing is left under the new name, nor under another."""
    path = copied(made[1]["gzip", 1], tmp_path)
    zero(path, 200, 600)
    before = sorted(tmp_path.iterdir())
    done = Commands(tmp_path).pgvow("salvage", path, "--output", "new.dump")
    assert done.code == 8
    assert "Try another copy of the file" in " ".join(done.err.split())
    assert before == sorted(tmp_path.iterdir())


@pytest.mark.majors(15)
def test_a_flipped_bit_that_only_the_fingerprint_shows_is_not_vouched_for(
    made: tuple[str, dict[tuple[str, int], Path]], tmp_path: Path
) -> None:
    """Uncompressed rows have no checksum: all are saved, and the report has the doubt."""
    path = copied(made[1]["none", 2], tmp_path)
    start, end = place_of(path, "big")
    data = bytearray(path.read_bytes())
    at = data.index(b"word", (start + end) // 2)
    data[at] ^= 1
    path.write_bytes(data)
    result = salvaged(path)
    (big,) = [table for table in result.tables if table.name == "big"]
    assert (_ROWS, 0, Vouched.NOTHING, False) == (big.saved, big.missing, big.vouched, big.is_whole)
    assert not result.complete
