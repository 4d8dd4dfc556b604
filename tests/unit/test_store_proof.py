"""Proofs as they are written: strict in both directions, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow import durable
from pgvow.errors import AccessDenied, PgvowError
from pgvow.model import (
    Backup,
    BackupStatus,
    Difference,
    DifferenceKind,
    Evidence,
    Level,
    Proof,
    TocFacts,
    level_reached,
)
from pgvow.recovery import (
    NeededExtension,
    NeededRole,
    NeededTablespace,
    RecoveryNeeds,
    RecoveryTime,
)
from pgvow.spool import Spool
from pgvow.store import (
    ProofError,
    StoredBackup,
    backups_in,
    decode_proof,
    encode_proof,
    proof_path,
)
from tests.support import backups

_FILE = "shop_dev_2025-01-27T14-30-00Z.dump"
_SUM = "c" * 64
_SHOWN = Evidence(
    level=Level.PROVEN,
    at=backups.MOMENT,
    seconds=12.5,
    tables=4,
    rows=3727,
    server_version="18.6",
    restore_seconds=9.25,
    pgvow_version="0.1.0",
    recovery=RecoveryTime(
        estimated_seconds=11.5,
        stages={"definitions and rows": 8.5, "indexes": 0.75},
        compare_seconds=2.25,
        jobs=2,
        processors=4,
        throwaway=True,
        rows=3727,
        dump_bytes=4096,
        database_bytes=8192,
    ),
    needs=RecoveryNeeds(
        postgresql_major=18,
        pg_restore_major=17,
        encoding="UTF8",
        locale={"LOCALE": "C", "ICU_RULES": ""},
        icu=False,
        superuser=True,
        superuser_for=("EVENT TRIGGER",),
        extensions=(NeededExtension("hstore", contrib=True, version="1.8"),),
        roles=(NeededRole("caf\udce9", archive=True, globals=False),),
        tablespaces=(NeededTablespace("fast", "/srv/fast"), NeededTablespace("slow")),
        preload_libraries=("pgaudit",),
        dump_bytes=4096,
    ),
)
_DIFFERENCE = Difference(DifferenceKind.ROWS, "messages", "3420", "3419")
_REFUTED = replace(_SHOWN, differences=(_DIFFERENCE,))
_VERIFIED = Evidence(Level.VERIFIED, backups.MOMENT, 0.5)
_DECODED = replace(_VERIFIED, level=Level.DECODED, tables=4, rows=3727)
_PROOF = Proof(_FILE, _SUM, passed=(_DECODED, _SHOWN))
_FAILED = Proof(_FILE, _SUM, passed=(_VERIFIED,), failed=_REFUTED)


def _as_object(proof: Proof = _FAILED) -> dict[str, Any]:
    found = json.loads(encode_proof(proof))
    assert isinstance(found, dict)
    return found


def _complaints(data: bytes) -> tuple[str, ...]:
    with pytest.raises(ProofError) as caught:
        decode_proof(data)
    return caught.value.complaints


def _complaints_with(**changed: object) -> tuple[str, ...]:
    return _complaints(json.dumps({**_as_object(), **changed}).encode())


@pytest.mark.parametrize("proof", [_PROOF, _FAILED, Proof(_FILE, _SUM)])
def test_a_proof_reads_back(proof: Proof) -> None:
    """A proof reads back as it was written."""
    assert proof == decode_proof(encode_proof(proof))


def test_a_proof_has_plain_keys_and_differences_as_objects() -> None:
    """The keys are plain words, and differences are objects."""
    found = _as_object()
    assert "verified" == found["level"]
    assert "2025-01-27T14:30:00Z" == found["failed"]["at"]
    assert {"kind": "rows", "name": "messages", "expected": "3420", "found": "3419"} == (
        found["failed"]["differences"][0]
    )


@pytest.mark.parametrize("key", ["proof_version", "backup_file", "checksum_sha256", "passed"])
def test_a_missing_key_is_named(key: str) -> None:
    """A proof without one of its keys is none, and the complaint names the key."""
    found = _as_object()
    del found[key]
    (complaint,) = _complaints(json.dumps(found).encode())
    assert complaint.startswith(f"{key} is missing")


@pytest.mark.parametrize("key", ["level", "at", "seconds", "tables", "rows", "differences"])
def test_a_missing_key_of_a_check_is_named(key: str) -> None:
    """Nor one of a check's, which is named with its place."""
    found = _as_object()
    del found["passed"][0][key]
    (complaint,) = _complaints(json.dumps(found).encode())
    assert complaint.startswith(f"passed[0].{key} is missing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proof_version", 0),
        ("level", "sworn"),
        ("level", "proven"),
        ("backup_file", "../other.dump"),
        ("checksum_sha256", "C" * 64),
        ("passed", {}),
        ("failed", []),
    ],
)
def test_a_value_of_the_wrong_type_is_named(key: str, value: object) -> None:
    """A value of the wrong kind is complained of by its key, a level that was not reached too."""
    assert any(complaint.startswith(key) for complaint in _complaints_with(**{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("at", "yesterday"),
        ("level", "sworn"),
        ("server_version", ""),
        ("seconds", -1),
        ("restore_seconds", "fast"),
        ("tables", True),
        ("rows", -1),
        ("differences", {}),
        ("differences", [{"kind": "mood", "name": "a", "expected": "b", "found": "c"}]),
        ("pgvow_version", 1),
    ],
)
def test_a_value_of_the_wrong_type_in_a_check_is_named(key: str, value: object) -> None:
    """A value of the wrong kind in a check is complained of by its key and place."""
    failed = {**_as_object()["failed"], key: value}
    (complaint,) = _complaints_with(failed=failed)
    assert complaint.startswith(f"failed.{key}")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("recovery", "estimated_seconds", "long"),
        ("recovery", "stages", {"indexes": -1}),
        ("recovery", "jobs", 0),
        ("recovery", "throwaway", 1),
        ("needs", "encoding", ""),
        ("needs", "locale", ["C"]),
        ("needs", "superuser", None),
        ("needs", "extensions", [{"name": "hstore"}]),
        ("needs", "roles", [{"name": "", "archive": True, "globals": True}]),
        ("needs", "tablespaces", [{"name": "fast", "location": 1}]),
        ("needs", "database_bytes", -1),
    ],
)
def test_a_wrong_value_of_a_recovery_is_named(part: str, key: str, value: object) -> None:
    """Time and needs of a recovery are read as strictly as all else."""
    failed = _as_object()["failed"]
    changed = {**failed, part: {**failed[part], key: value}}
    (complaint,) = _complaints_with(failed=changed)
    assert complaint.startswith(f"failed.{part}.{key}")


def test_a_proof_without_a_recovery_is_read_as_ever() -> None:
    """A proof of version 0.1 has neither key."""
    older = _as_object()
    del older["failed"]["recovery"], older["failed"]["needs"]
    failed = decode_proof(json.dumps(older).encode()).failed
    assert replace(_REFUTED, recovery=None, needs=None) == failed


@pytest.mark.parametrize(
    "proof",
    [
        replace(_PROOF, passed=(_REFUTED,)),
        replace(_PROOF, failed=_SHOWN),
        replace(_PROOF, passed=(_SHOWN, _DECODED)),
        replace(_PROOF, passed=(_SHOWN, _SHOWN)),
    ],
    ids=["passed with differences", "failed without", "out of order", "twice"],
)
def test_a_contradictory_proof_is_refused(proof: Proof) -> None:
    """A contradictory proof is none, so it cannot be written either."""
    with pytest.raises(ProofError):
        encode_proof(proof)


def test_levels_are_never_lowered() -> None:
    """A later check of a lower level, or one that fails, leaves the level and the restore time."""
    proof = Proof(_FILE, _SUM)
    assert proof.level is None
    proof = proof.after(_VERIFIED)
    assert Level.VERIFIED is proof.level
    proof = proof.after(_SHOWN)
    for later in (_VERIFIED, _DECODED, _REFUTED, replace(_VERIFIED, differences=(_DIFFERENCE,))):
        proof = proof.after(later)
        assert Level.PROVEN is proof.level
        assert _SHOWN.restore_seconds == proof.restore_seconds
    assert [Level.VERIFIED, Level.DECODED, Level.PROVEN] == [one.level for one in proof.passed]


@pytest.mark.parametrize("failed", Level)
@pytest.mark.parametrize("later", Level)
def test_a_failure_stands_until_its_level_passes(failed: Level, later: Level) -> None:
    """After a failed check only one of its level or a higher one restores trust."""
    missed = replace(_REFUTED, level=failed)
    proof = Proof(_FILE, _SUM).after(missed).after(replace(_SHOWN, level=later))
    assert (missed if later.rank < failed.rank else None) == proof.failed


@pytest.mark.parametrize(
    ("failed", "trusted"),
    [(Level.VERIFIED, None), (Level.DECODED, Level.VERIFIED), (Level.PROVEN, Level.DECODED)],
)
def test_after_a_failure_only_lower_levels_are_trusted(
    failed: Level, trusted: Level | None
) -> None:
    """The level stays, and only levels below the failed one are trusted."""
    missed = Proof(_FILE, _SUM, (_DECODED, _SHOWN), replace(_REFUTED, level=failed))
    backup = Backup(Path(_FILE), BackupStatus.OK, 1, metadata=backups.metadata(), proof=missed)
    assert Level.PROVEN is backup.level
    assert trusted is backup.trusted


def test_a_new_backup_has_a_level() -> None:
    """Inspected it is decoded, without that verified; of another program it is listed only."""
    facts = backups.metadata()
    assert Level.VERIFIED is level_reached(facts, None)
    assert Level.DECODED is level_reached(replace(facts, toc=TocFacts("d" * 32, 3)), None)
    assert level_reached(replace(facts, pgvow_version=None), None) is None
    assert level_reached(None, None) is None
    assert Level.PROVEN is level_reached(facts, _PROOF)


def test_a_proof_that_is_no_json_object_is_refused() -> None:
    """Text that is no JSON object is refused with our own error."""
    for data in (b"", b"[]", b"null", b"{", b"\xff", b'{"level": NaN}', b"[" * 100_000):
        assert _complaints(data)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_raises_proof_error_only(data: bytes) -> None:
    """Whatever bytes there are, the answer is a proof or ProofError."""
    with pytest.raises(ProofError):
        decode_proof(data)


def test_a_proof_is_0600_and_gains_checks(tmp_path: Path) -> None:
    """0600, nothing else left in the directory, and a second check is added to the first."""
    dump = tmp_path / _FILE
    assert StoredBackup.at(dump).proof() is None
    StoredBackup.at(dump).add_evidence(_SUM, _REFUTED)
    added = StoredBackup.at(dump).add_evidence(_SUM, _VERIFIED)
    assert _FAILED == added == StoredBackup.at(dump).proof()
    cleared = StoredBackup.at(dump).add_evidence(_SUM, _SHOWN)
    assert Proof(_FILE, _SUM, (_VERIFIED, _SHOWN)) == cleared == StoredBackup.at(dump).proof()
    assert 0o600 == stat.S_IMODE(proof_path(dump).stat().st_mode)
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_a_failed_write_leaves_the_old_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk refuses, the old proof stands and our partial file is gone."""
    dump = tmp_path / _FILE
    StoredBackup.at(dump).add_evidence(_SUM, _VERIFIED)

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable, "sync", refuse)
    with pytest.raises(PgvowError, match="Input/output error"):
        StoredBackup.at(dump).add_evidence(_SUM, _SHOWN)
    assert Proof(_FILE, _SUM, (_VERIFIED,)) == StoredBackup.at(dump).proof()
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_a_partial_file_of_a_dead_run_is_replaced(tmp_path: Path) -> None:
    """A killed run's partial file is neither in the way nor in the new proof."""
    dump = tmp_path / _FILE
    (tmp_path / (proof_path(dump).name + ".partial")).write_bytes(b"x" * 10_000)
    StoredBackup.at(dump).add_evidence(_SUM, _SHOWN)
    assert Proof(_FILE, _SUM, (_SHOWN,)) == StoredBackup.at(dump).proof()
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_a_proof_of_another_dump_is_replaced(tmp_path: Path) -> None:
    """A proof of another dump under this name, or a broken one, is not added to."""
    dump = tmp_path / _FILE
    StoredBackup.at(dump).add_evidence("d" * 64, _SHOWN)
    assert Proof(_FILE, _SUM, (_VERIFIED,)) == StoredBackup.at(dump).add_evidence(_SUM, _VERIFIED)
    proof_path(dump).write_bytes(b"{")
    assert Proof(_FILE, _SUM, (_DECODED,)) == StoredBackup.at(dump).add_evidence(_SUM, _DECODED)


def test_concurrent_checks_are_all_recorded(tmp_path: Path) -> None:
    """Runs that check the same backup at the same time add to each other."""
    dump = tmp_path / _FILE
    shown = [replace(_SHOWN, level=level) for level in Level] * 6
    threads = [
        threading.Thread(target=StoredBackup.at(dump).add_evidence, args=(_SUM, one))
        for one in shown
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proof = StoredBackup.at(dump).proof()
    assert proof is not None
    assert list(Level) == [one.level for one in proof.passed]
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_a_missing_directory_or_link_raises_our_error(tmp_path: Path) -> None:
    """A directory that is not there, or a link in our way, is told in our own errors."""
    with pytest.raises(PgvowError):
        StoredBackup.at(tmp_path / "nowhere" / "a.dump").add_evidence(_SUM, _SHOWN)
    dump = tmp_path / _FILE
    (tmp_path / (proof_path(dump).name + ".partial")).symlink_to(tmp_path / "victim")
    with pytest.raises((PgvowError, AccessDenied)):
        StoredBackup.at(dump).add_evidence(_SUM, _SHOWN)
    assert not (tmp_path / "victim").exists()


def test_a_listing_ignores_proofs_of_other_bytes(tmp_path: Path) -> None:
    """A proof of other bytes and a broken one are as good as none; a named pipe is unreadable."""
    facts = backups.metadata()
    dump = backups.place(tmp_path, facts)
    store = Spool(tmp_path)

    def listed() -> Proof | None:
        (backup,) = backups_in(store.store)
        assert BackupStatus.OK is backup.status
        return backup.proof

    assert listed() is None
    its = StoredBackup.at(dump).add_evidence(facts.checksum_sha256, _SHOWN)
    assert its == listed()
    StoredBackup.at(dump).add_evidence(_SUM, _SHOWN)
    assert listed() is None
    proof_path(dump).write_bytes(b"{")
    assert listed() is None
    proof_path(dump).unlink()
    os.mkfifo(proof_path(dump))
    (backup,) = backups_in(store.store)
    assert (BackupStatus.UNREADABLE, None) == (backup.status, backup.proof)
    assert f"cannot read {proof_path(dump)}: it is not a regular file" == backup.complaint
