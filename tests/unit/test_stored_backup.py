"""A backup in a store that is no directory is verified, shown, compared and extracted alike."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import UnreadableFile
from pgvow.model import BackupStatus, GlobalsFacts, Level
from pgvow.operations.diff import diff_backups
from pgvow.operations.extract import ExtractOptions, RowFormat, extract_table
from pgvow.operations.show import show_backup
from pgvow.operations.show.contents import FactsOrigin, NotABackupFile
from pgvow.operations.verify import VerifyOptions, verify_all, verify_and_record, verify_backup
from pgvow.store import StoredBackup, backups_in, encode, metadata_name
from pgvow.store.port import MemoryStore
from tests.support.archives import Table
from tests.support.contexts import a_context
from tests.support.servers import programs
from tests.unit.test_show_extract_diff import describe, write

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from pgvow.operations.verify import Verification

_ROLES = b"CREATE ROLE app;\n"
_ONE_TABLE = (Table("small", b"1\n"),)
_BIN = programs(18)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A backup in a directory, with metadata and roles beside it."""
    path = write(tmp_path / "shop_dev_2025-01-27T14-30-00Z.dump")
    roles = path.with_suffix(".globals.sql")
    roles.write_bytes(_ROLES)
    digest = hashlib.sha256(_ROLES).hexdigest()
    describe(path, globals=GlobalsFacts(roles.name, len(_ROLES), digest, role_passwords=True))
    return path


@pytest.fixture
def stored(dump: Path) -> StoredBackup:
    """The same backup in memory; nothing of it is left in the directory."""
    store = MemoryStore()
    for path in dump.parent.iterdir():
        with path.open("rb") as file:
            store.put(path.name, file)
        path.unlink()
    return StoredBackup(store, dump.name)


def _verify(backup: StoredBackup, *, deep: bool = False) -> Verification:
    return verify_and_record(backup, VerifyOptions(pg_bin=_BIN, deep=deep), a_context({}))


def _extract(backup: StoredBackup) -> bytes:
    sink = io.BytesIO()
    extract_table(backup, ExtractOptions("messages", RowFormat.CSV, sink), a_context({}))
    return sink.getvalue()


def _change(backup: StoredBackup, offset: int) -> None:
    """Flip a bit of the dump."""
    with backup.open_dump() as file:
        data = bytearray(file.read())
    data[offset] ^= 1
    backup.store.put(backup.name, io.BytesIO(data))


@pytest.mark.parametrize("deep", [False, True])
def test_verify_passes_and_keeps_its_proof_in_the_store(
    stored: StoredBackup, *, deep: bool
) -> None:
    """Every check passes, pg_restore's included, and the proof lies in the store, nowhere else."""
    result = _verify(stored, deep=deep)
    names = [check.name for check in result.checks if check.passed]
    assert result.passed
    assert {"structure", "checksum", "globals"} <= set(names)
    assert result.proof is not None
    assert (Level.DECODED if deep else Level.VERIFIED) is result.proof.level
    assert result.proof == stored.proof()
    assert stored.name.replace(".dump", ".proof.json") in stored.store.list()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_evidence_has_the_time_of_the_context(stored: StoredBackup, *, is_damaged: bool) -> None:
    """Whether a check passed or failed, its record is dated by the clock that was handed down."""
    now = datetime(2040, 1, 1, 12, 30, 15, 999_999, tzinfo=UTC)
    if is_damaged:
        _change(stored, -5)
    proof = verify_and_record(stored, VerifyOptions(pg_bin=_BIN), a_context({}, now=now)).proof
    assert proof is not None
    (evidence,) = (*proof.passed, *filter(None, [proof.failed]))
    assert (is_damaged, now.replace(microsecond=0)) == (not evidence.passed, evidence.at)


def test_verify_refutes_a_changed_dump(stored: StoredBackup) -> None:
    """One flipped bit in the rows fails the checksum and is recorded."""
    _change(stored, -5)
    result = _verify(stored, deep=True)
    assert not result.passed
    assert "checksum" in {check.name for check in result.checks if not check.passed}
    assert result.proof is not None
    assert result.proof.failed is not None
    assert result.proof == stored.proof()


def test_verify_refutes_changed_roles_and_missing_ones(stored: StoredBackup) -> None:
    """Roles with other bytes, and roles that are not there, fail the check of the globals."""
    name = stored.globals_name(stored.metadata())
    stored.store.put(name, io.BytesIO(b"CREATE ROLE other;\n"))
    assert ["globals"] == [check.name for check in _verify(stored).checks if not check.passed]
    stored.store.delete(name)
    assert ["globals"] == [check.name for check in _verify(stored).checks if not check.passed]


def test_a_missing_dump_fails_the_first_check(stored: StoredBackup) -> None:
    """A dump that is not there fails the first check, under the name that the store gives it."""
    stored.store.delete(stored.name)
    result = verify_backup(stored, VerifyOptions(pg_bin=_BIN), a_context({}))
    (check,) = result.checks
    assert (False, "no such file") == (check.passed, check.found)
    assert f"memory:/{stored.name}" == str(result.path)


def test_verify_all_takes_every_backup_of_a_store(stored: StoredBackup) -> None:
    """The backups of a store are listed and verified as those of a directory are."""
    results = verify_all([stored.store], VerifyOptions(pg_bin=_BIN), a_context({}))
    assert [(stored.path, True)] == [(result.path, result.passed) for result in results]
    (listed,) = backups_in(stored.store)
    assert (BackupStatus.OK, results[0].proof) == (listed.status, listed.proof)


def test_show_is_the_same_as_in_a_directory(dump: Path, request: pytest.FixtureRequest) -> None:
    """All that show says of a backup is the same, but for the place that it names."""
    before = show_backup(StoredBackup.at(dump), a_context({}))
    after = show_backup(request.getfixturevalue("stored"), a_context({}))
    assert (before.tables, before.objects, before.roles) == (
        after.tables,
        after.objects,
        after.roles,
    )
    assert (before.moment, before.level) == (after.moment, after.level)
    assert before.globals_file is not None
    assert f"memory:/{before.globals_file.name}" == str(after.globals_file)


def test_show_counts_the_rows_of_a_dump_without_metadata(stored: StoredBackup) -> None:
    """Without metadata the rows are counted from the archive, in memory as well."""
    before = show_backup(stored, a_context({}))
    stored.store.delete(metadata_name(stored.name))
    after = show_backup(stored, a_context({}))
    assert (FactsOrigin.METADATA, FactsOrigin.ARCHIVE) == (before.facts.origin, after.facts.origin)
    assert [(table.key, table.rows) for table in before.tables] == [
        (table.key, table.rows) for table in after.tables
    ]


def test_show_refuses_a_missing_dump(stored: StoredBackup) -> None:
    """A missing dump is no backup, in memory as in a directory."""
    with pytest.raises(NotABackupFile, match="there is no such file"):
        show_backup(StoredBackup(stored.store, "none.dump"), a_context({}))


def test_extracted_rows_are_the_same_as_in_a_directory(
    dump: Path, request: pytest.FixtureRequest
) -> None:
    """The rows are the same bytes."""
    before = _extract(StoredBackup.at(dump))
    assert b"say" in before
    assert before == _extract(request.getfixturevalue("stored"))


def test_diff_compares_backups_of_two_stores(dump: Path, tmp_path: Path) -> None:
    """diff takes one backup from a directory and one from memory; only the changes differ."""
    store = MemoryStore()
    with dump.open("rb") as file:
        store.put(dump.name, file)
    copy = StoredBackup(store, dump.name)
    assert diff_backups(StoredBackup.at(dump), copy, a_context({})).equal
    other = write(tmp_path / "other.dump", *_ONE_TABLE)
    assert not diff_backups(StoredBackup.at(other), copy, a_context({})).equal


def test_the_copy_for_pg_restore_is_removed(
    stored: StoredBackup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The private copy that pg_restore reads is gone when the check is over."""
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path))
    assert _verify(stored).passed
    assert [] == list(tmp_path.iterdir())


def test_a_listing_in_memory_has_the_same_states(stored: StoredBackup) -> None:
    """Missing and broken metadata, a missing dump and another size are the states of a listing."""
    store, name = stored.store, stored.name
    facts = stored.metadata()
    store.put("b.dump", io.BytesIO(b"PGDMP"))
    store.put("c.dump", io.BytesIO(b"PGDMP"))
    store.put(metadata_name("c.dump"), io.BytesIO(b"{"))
    gone = replace(facts, backup_file="d.dump")
    store.put(metadata_name("d.dump"), io.BytesIO(encode(gone)))
    large = replace(facts, backup_size_bytes=facts.backup_size_bytes + 1)
    store.put(metadata_name(name), io.BytesIO(encode(large)))
    found = {backup.path.name: backup.status for backup in backups_in(store)}
    assert {
        name: BackupStatus.SIZE_DIFFERS,
        "b.dump": BackupStatus.METADATA_MISSING,
        "c.dump": BackupStatus.METADATA_BROKEN,
        "d.dump": BackupStatus.DUMP_MISSING,
    } == found


class _Unreadable(MemoryStore):
    """A store that can list a dump and not read it."""

    def open(self, name: str) -> BinaryIO:
        """Refuse to read dumps."""
        if name.endswith(".dump"):
            raise UnreadableFile(f"cannot read memory:/{name}: Input/output error")
        return super().open(name)


def test_unreadable_is_recorded_in_the_store(stored: StoredBackup) -> None:
    """A store that refuses to read a dump gives no evidence against it: unreadable is recorded."""
    store = _Unreadable()
    for name in stored.store.list():
        with stored.store.open(name) as file:
            store.put(name, file)
    result = _verify(StoredBackup(store, stored.name))
    assert result.unreadable is not None
    (listed,) = backups_in(store)
    assert BackupStatus.UNREADABLE is listed.status
