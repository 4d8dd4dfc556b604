"""A dump that pgvow did not make is read, proven, restored and adopted; its limits are named."""

from __future__ import annotations

import shutil
import stat
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ConfigurationError, ToolUnsuitable, VerificationFailed
from pgvow.model import Level
from pgvow.operations.adopt import AdoptOptions, adopt_dump
from pgvow.operations.core.foreign import RowsAsInserts
from pgvow.operations.diff import diff_backups
from pgvow.operations.extract import ExtractOptions, RowFormat, extract_table
from pgvow.operations.prove import ProveOptions, prove_backup
from pgvow.operations.verify import VerifyOptions, verify_all, verify_and_record
from pgvow.progress import Phase
from pgvow.store import DirectoryStore, StoredBackup, backups_in, metadata_name
from tests.support.backups import contents
from tests.support.contexts import a_context
from tests.support.restoring import restore
from tests.support.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.operations.adopt import AdoptResult
    from pgvow.progress import Step
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(15, 18)

_SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app.orders (id serial PRIMARY KEY, note text, at timestamptz);
INSERT INTO app.orders (note, at)
SELECT 'note ' || n, timestamptz '2024-01-01 UTC' + n * interval '1 h'
FROM generate_series(1, 300) AS n;
CREATE TABLE lines (id integer, amount numeric);
INSERT INTO lines SELECT n, n / 7.0 FROM generate_series(1, 40) AS n;
CREATE TABLE parted (id integer) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
INSERT INTO parted SELECT n FROM generate_series(1, 9) AS n;
SELECT lo_from_bytea(0, decode(repeat(md5(n::text), 40), 'hex')) FROM generate_series(1, 3) AS n;
"""
_COUNTS = {"app.orders": 300, "lines": 40, "parted_1": 9}
_LAYOUTS = {
    "whole": (),
    "none": ("-Z", "0"),
    "schema_only": ("--schema-only",),
    "data_only": ("--data-only",),
    "table": ("-t", "app.orders"),
    "left_out": ("--exclude-table-data", "lines"),
    "inserts": ("--inserts",),
}
_NEWER_LAYOUTS = {"lz4": ("-Z", "lz4"), "zstd": ("-Z", "zstd:3")}
_SELECTIONS = {
    "whole": (),
    "schema_only": ("--schema-only",),
    "data_only": ("--data-only",),
    "table": ("--table=app.orders",),
    "left_out": ("--exclude-table-data=lines",),
}


@dataclass(frozen=True)
class Dumps:
    """A folder with dumps of one database by the stock pg_dump, written through a pipe."""

    server: TestServer
    folder: Path

    def __getitem__(self, name: str) -> StoredBackup:
        return StoredBackup.at(self.folder / f"{name}.dump")

    def copied(self, name: str, folder: Path) -> StoredBackup:
        """Copy one into another folder."""
        folder.mkdir(exist_ok=True)
        return StoredBackup.at(shutil.copy(self[name].path, folder / "given.dump"))


@pytest.fixture(scope="module")
def dumps(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Dumps:
    """Dump one database in every layout; standard output is a pipe, so no offsets are filled in."""
    folder = tmp_path_factory.mktemp(f"dumps{server.major}")
    database = server.unique_name("foreign")
    server.create_database(database)
    try:
        server.psql(database, _SCHEMA)
        layouts = _LAYOUTS | (_NEWER_LAYOUTS if server.major >= 16 else {})
        for name, options in layouts.items():
            _piped(server, database, ["-Fc", *options], folder / f"{name}.dump")
        _piped(server, database, ["-Fp"], folder / "plain.dump")
        _piped(server, database, ["-Ft"], folder / "tar.dump")
        seekable = folder / "seekable.dump"
        _piped(server, database, ["-Fc", "-f", str(seekable)], folder / "nothing.dump")
    finally:
        server.drop_database(database)
    return Dumps(server, folder)


def _piped(server: TestServer, database: str, options: list[str], target: Path) -> None:
    argv = [server.bin / "pg_dump", *options, database]
    environ = server.environment(database)
    target.write_bytes(subprocess.run(argv, env=environ, check=True, capture_output=True).stdout)


def _adopted(given: StoredBackup, folder: Path, **options: object) -> AdoptResult:
    wanted = AdoptOptions(folder / "backups", environment="prod")
    return adopt_dump(given, replace(wanted, **options), a_context())  # type: ignore[arg-type]


def _proving(server: TestServer) -> ProveOptions:
    return ProveOptions(pg_bin=server.bin)


def test_a_foreign_dump_is_proven_by_its_own_rows(dumps: Dumps, tmp_path: Path) -> None:
    """It restores, all is as decoded from the file; a warning says so, and nothing is written."""
    given = dumps.copied("whole", tmp_path / "given")
    result = prove_backup(given, _proving(dumps.server), a_context())
    assert (True, sum(_COUNTS.values())) == (result.proven, result.evidence.rows)
    assert "decoded from itself" in result.warnings[0]
    assert result.proof is None
    assert result.metadata.adopted is not None
    assert "no metadata are beside" in str(result.metadata.adopted)
    assert {"given.dump"} == contents(given.path.parent)


@pytest.mark.majors(18)
def test_a_foreign_dump_of_a_schema_alone_is_proven(dumps: Dumps) -> None:
    """--schema-only: the definitions come back, and no table has a row."""
    result = prove_backup(dumps["schema_only"], _proving(dumps.server), a_context())
    assert (True, 0) == (result.proven, result.evidence.rows)


def test_a_foreign_dump_is_restored_and_compared(dumps: Dumps, tmp_path: Path) -> None:
    """Every row comes back, and the comparison is with the rows of the file."""
    given, server = dumps.copied("whole", tmp_path / "given"), dumps.server
    name = server.unique_name("restored")
    try:
        result = restore(server, given.path, name)
        assert result.comparison is not None
        assert sum(_COUNTS.values()) == result.comparison.rows
        assert any("decoded from itself" in each for each in result.warnings)
    finally:
        server.drop_database(name)
    assert {"given.dump"} == contents(given.path.parent)


def test_rows_without_their_tables_are_refused_with_the_next_step(
    dumps: Dumps, tmp_path: Path
) -> None:
    """--data-only, foreign or adopted: neither proven nor restored, and pg_restore is named."""
    given = dumps.copied("data_only", tmp_path / "given")
    adopted = StoredBackup.at(_adopted(given, tmp_path).backup.path)
    for backup in (given, adopted):
        with pytest.raises(ConfigurationError, match="no definitions") as caught:
            prove_backup(backup, _proving(dumps.server), a_context())
        assert any("pg_restore --data-only" in step for step in caught.value.steps)
        with pytest.raises(ConfigurationError, match="no definitions"):
            restore(dumps.server, backup.path, "never")


def test_rows_as_inserts_decode_and_are_not_adopted(dumps: Dumps, tmp_path: Path) -> None:
    """--inserts: verify --deep decodes them; adopt and prove say that they cannot be compared."""
    given = dumps.copied("inserts", tmp_path / "given")
    options = VerifyOptions(programs(18), deep=True)
    assert verify_and_record(given, options, a_context()).passed
    with pytest.raises(RowsAsInserts, match=r"app\.orders, lines"):
        _adopted(given, tmp_path)
    with pytest.raises(RowsAsInserts):
        prove_backup(given, _proving(dumps.server), a_context())
    assert [] == backups_in(DirectoryStore(tmp_path / "backups"))


def test_every_compression_and_layout_has_the_same_rows(dumps: Dumps, tmp_path: Path) -> None:
    """Piped or not, none, gzip, lz4 and zstd: counts and fingerprints are one and the same."""
    names = ["whole", "seekable", "none", *(_NEWER_LAYOUTS if dumps.server.major >= 16 else ())]
    facts = set()
    for name in names:
        metadata = _adopted(dumps[name], tmp_path).metadata
        assert metadata.table_counts == _COUNTS
        objects = metadata.large_objects
        facts.add((tuple((each.key, each.fingerprint) for each in metadata.tables), objects and (
            objects.count, objects.bytes, objects.fingerprint)))  # fmt: skip
    assert 1 == len(facts)
    assert len(names) == len(backups_in(DirectoryStore(tmp_path / "backups")))


def test_what_was_left_out_is_recorded_as_far_as_the_archive_shows(
    dumps: Dumps, tmp_path: Path
) -> None:
    """Schema only, data only, a table of another schema, rows left out: a part, and named so."""
    shown = {name: _adopted(dumps[name], tmp_path).metadata.selection for name in _SELECTIONS}
    assert shown == _SELECTIONS


def test_an_adopted_dump_is_listed_then_verified_then_proven(dumps: Dumps, tmp_path: Path) -> None:
    """Its level is none until checks show one; the names, facts and rights are the store's."""
    given = dumps.copied("whole", tmp_path / "given")
    result = _adopted(given, tmp_path)
    metadata, path = result.metadata, result.backup.path
    assert ("prod", _COUNTS) == (metadata.environment, metadata.table_counts)
    assert metadata.adopted is not None
    assert "given.dump" == metadata.adopted.file
    assert ("pre-data", "data", "post-data") == metadata.adopted.sections
    assert metadata.postgresql_version.startswith(f"{dumps.server.major}.")
    assert abs(datetime.now(UTC) - metadata.backup_timestamp) < timedelta(hours=1)
    assert (None, 0o600) == (result.backup.level, stat.S_IMODE(path.stat().st_mode))
    assert given.path.read_bytes() == path.read_bytes()
    (listed,) = backups_in(DirectoryStore(path.parent))
    assert (None, metadata) == (listed.level, listed.metadata)
    stored = StoredBackup.at(path)
    verify_and_record(stored, VerifyOptions(programs(18)), a_context())
    assert Level.VERIFIED == stored.level
    assert prove_backup(stored, _proving(dumps.server), a_context()).proven
    assert Level.PROVEN == stored.level


def test_an_adopted_dump_that_changes_fails_its_checks(dumps: Dumps, tmp_path: Path) -> None:
    """The checksum is that of the file when it was adopted."""
    path = _adopted(dumps["whole"], tmp_path).backup.path
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    assert not verify_and_record(StoredBackup.at(path), VerifyOptions(programs(18)),
                                 a_context()).passed  # fmt: skip


def test_the_same_dump_is_adopted_once_and_no_name_is_overwritten(
    dumps: Dumps, tmp_path: Path
) -> None:
    """The same bytes are refused by their name; others of the same second get the next one."""
    first = _adopted(dumps["whole"], tmp_path)
    before = contents(tmp_path / "backups")
    with pytest.raises(ConfigurationError, match="is a backup already") as caught:
        _adopted(dumps["whole"], tmp_path)
    assert str(first.backup.path) in caught.value.cause
    assert before == contents(tmp_path / "backups")
    named = tmp_path / f"{first.backup.path.stem}.dump"
    shutil.copy(dumps["none"].path, named)
    second = _adopted(StoredBackup.at(named), tmp_path)
    moments = [each.metadata.backup_timestamp for each in (first, second)]
    assert timedelta(seconds=1) == moments[1] - moments[0]
    with pytest.raises(ConfigurationError, match="metadata beside it"):
        _adopted(StoredBackup.at(second.backup.path), tmp_path)


def test_move_removes_the_dump_and_only_then(dumps: Dumps, tmp_path: Path) -> None:
    """With --move the file is gone when its copy is a backup; a refused one stays."""
    given = dumps.copied("whole", tmp_path / "given")
    assert _adopted(given, tmp_path, move=True).moved
    assert set() == contents(tmp_path / "given")
    again = dumps.copied("whole", tmp_path / "given")
    with pytest.raises(ConfigurationError):
        _adopted(again, tmp_path, move=True)
    assert {"given.dump"} == contents(tmp_path / "given")


@pytest.mark.majors(18)
def test_a_torn_or_interrupted_adoption_leaves_no_backup(dumps: Dumps, tmp_path: Path) -> None:
    """Cut anywhere it is named as damaged, and no file of it stays, nor of a run that ended."""
    given = dumps.copied("whole", tmp_path / "given")
    data = given.path.read_bytes()
    for size in (0, 3, 40, len(data) // 3, len(data) // 2, len(data) - 1):
        given.path.write_bytes(data[:size])
        with pytest.raises(VerificationFailed):
            _adopted(given, tmp_path)

    class Interrupting:
        def update(self, step: Step) -> None:
            if step.phase is Phase.COPY:
                raise KeyboardInterrupt

        def warn(self, message: str) -> None:
            pass

    given.path.write_bytes(data)
    with pytest.raises(KeyboardInterrupt):
        adopt_dump(
            given, AdoptOptions(tmp_path / "backups", "prod"), a_context(progress=Interrupting())
        )
    left = {name for name in contents(tmp_path / "backups") if not name.startswith(".")}
    assert set() == left


@pytest.mark.parametrize(("name", "words"), [("plain", "psql"), ("tar", "pg_restore")])
def test_another_format_is_named_with_the_next_step(
    name: str, words: str, dumps: Dumps, tmp_path: Path
) -> None:
    """Plain SQL and a tar: each is called by its name, and the command that restores it follows."""
    for refused in (
        lambda: _adopted(dumps[name], tmp_path),
        lambda: prove_backup(dumps[name], _proving(dumps.server), a_context()),
    ):
        with pytest.raises(VerificationFailed, match="not in pg_dump's custom format") as caught:
            refused()
        assert words in caught.value.steps[0]
    assert not (tmp_path / "backups").exists()


@pytest.mark.majors(15)
@pytest.mark.parametrize("version", ["12.22", "13.21", "14.18"])
def test_older_pg_dumps_are_read_by_their_header(
    version: str, dumps: Dumps, tmp_path: Path
) -> None:
    """Archives of 12 to 14 are 1.14 as those of 15: a real one of 15 with the older header.

    Only the two version texts of the header differ; no program of those majors is at hand.
    """
    given = dumps.copied("whole", tmp_path / "given")
    data = given.path.read_bytes()
    own = _adopted(given, tmp_path / "own").metadata.pg_dump_version.encode()
    assert len(own) == len(version)
    assert 2 == data.count(own)
    given.path.write_bytes(data.replace(own, version.encode()))
    metadata = _adopted(given, tmp_path).metadata
    assert (version, version) == (metadata.postgresql_version, metadata.pg_dump_version)
    assert _COUNTS == metadata.table_counts
    assert verify_and_record(
        given, VerifyOptions(programs(18), deep=True), a_context()
    ).passed  # fmt: skip


def test_verify_deep_of_a_foreign_dump_says_what_cannot_be_checked(
    dumps: Dumps, tmp_path: Path
) -> None:
    """Deep, it passes with the list of the rest; not deep, damaged or lost by us, it fails."""
    given = dumps.copied("whole", tmp_path / "given")
    deep = VerifyOptions(programs(18), deep=True)
    result = verify_and_record(given, deep, a_context())
    assert result.passed
    assert ["file", "structure", "contents"] == [check.name for check in result.checks]
    assert any("checksum" in fact for fact in result.unchecked)
    assert not verify_and_record(given, replace(deep, deep=False), a_context()).passed
    (of_all,) = verify_all([given.store], deep, a_context())
    assert not of_all.passed
    lost = StoredBackup.at(_adopted(given, tmp_path).backup.path)
    (lost.path.parent / metadata_name(lost.name)).unlink()
    shown = verify_and_record(lost, deep, a_context())
    assert ["metadata"] == [check.name for check in shown.checks if not check.passed]
    data = bytearray(given.path.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    given.path.write_bytes(data)
    assert not verify_and_record(given, deep, a_context()).passed


@pytest.mark.majors(18)
def test_a_pg_restore_that_is_too_old_does_not_refute_a_foreign_dump(
    dumps: Dumps, pg15: TestServer
) -> None:
    """An archive of 18 with programs of 15: 6, and not a failed check."""
    with pytest.raises(ToolUnsuitable, match="cannot read an archive"):
        verify_and_record(dumps["whole"], VerifyOptions(pg15.bin, deep=True), a_context())


@pytest.mark.majors(18)
def test_foreign_dumps_are_extracted_and_compared(dumps: Dumps, tmp_path: Path) -> None:
    """Rows of a piped dump come out, and two of one database differ in nothing but its form."""
    with (tmp_path / "rows").open("wb") as sink:
        extract_table(dumps["whole"], ExtractOptions("lines", RowFormat.COPY, sink), a_context())
    assert 40 == (tmp_path / "rows").read_bytes().count(b"\n")
    assert diff_backups(dumps["whole"], dumps["zstd"], a_context()).equal
