"""Proofs as they are written: strict in both directions, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgvow.errors import AccessDenied, PgvowError
from pgvow.model import BackupStatus, Difference, DifferenceKind, Level, Proof
from pgvow.store import (
    LocalStore,
    ProofError,
    decode_proof,
    durable,
    encode_proof,
    load_proof,
    proof_path,
    write_proof,
)
from tests.support import backups

if TYPE_CHECKING:
    from pathlib import Path

_PROVEN = Proof(
    proved_at=backups.MOMENT,
    level=Level.PROVEN,
    backup_file="shop_dev_2025-01-27T14-30-00Z.dump",
    checksum_sha256="c" * 64,
    server_version="18.6",
    seconds=12.5,
    restore_seconds=9.25,
    tables=4,
    rows=3727,
    pgvow_version="0.1.0",
)
_DIFFERENCE = Difference(DifferenceKind.ROWS, "messages", "3420", "3419")
_REFUTED = replace(_PROVEN, level=Level.VERIFIED, differences=(_DIFFERENCE,))


def _as_object(proof: Proof = _REFUTED) -> dict[str, Any]:
    found = json.loads(encode_proof(proof))
    assert isinstance(found, dict)
    return found


def _complaints(data: bytes) -> tuple[str, ...]:
    with pytest.raises(ProofError) as caught:
        decode_proof(data)
    return caught.value.complaints


def _complaints_with(**changed: object) -> tuple[str, ...]:
    return _complaints(json.dumps({**_as_object(), **changed}).encode())


@pytest.mark.parametrize("proof", [_PROVEN, _REFUTED, replace(_PROVEN, pgvow_version=None)])
def test_a_proof_reads_back(proof: Proof) -> None:
    """What is written is what is read."""
    assert proof == decode_proof(encode_proof(proof))


def test_a_proof_for_people() -> None:
    """The keys are plain words, and differences are objects."""
    found = _as_object()
    assert "2025-01-27T14:30:00Z" == found["proved_at"]
    assert "verified" == found["level"]
    assert {"kind": "rows", "name": "messages", "expected": "3420", "found": "3419"} == (
        found["differences"][0]
    )


@pytest.mark.parametrize("key", [key for key in _as_object() if key != "pgvow_version"])
def test_no_key_may_be_missing(key: str) -> None:
    """A proof without one of its keys is none, and the complaint names the key."""
    found = _as_object()
    del found[key]
    (complaint,) = _complaints(json.dumps(found).encode())
    assert complaint.startswith(f"{key} is missing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proof_version", 0),
        ("proved_at", "yesterday"),
        ("level", "sworn"),
        ("backup_file", "../other.dump"),
        ("checksum_sha256", "C" * 64),
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
def test_no_key_may_be_wrong(key: str, value: object) -> None:
    """A value of the wrong kind is complained of by its key."""
    (complaint,) = _complaints_with(**{key: value})
    assert complaint.startswith(key)


def test_a_proven_backup_has_no_differences() -> None:
    """A proof that contradicts itself is none, in both directions."""
    assert ("level is 'proven', and there are differences",) == _complaints_with(level="proven")
    with pytest.raises(ProofError):
        encode_proof(replace(_REFUTED, level=Level.PROVEN))


def test_what_is_no_json_is_no_proof() -> None:
    """Text that is no JSON object is refused with our own error."""
    for data in (b"", b"[]", b"null", b"{", b"\xff", b'{"level": NaN}', b"[" * 100_000):
        assert _complaints(data)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_answered(data: bytes) -> None:
    """Whatever bytes there are, the answer is a proof or ProofError."""
    with pytest.raises(ProofError):
        decode_proof(data)


def test_a_proof_is_its_owner_s_alone_and_the_last_one_stands(tmp_path: Path) -> None:
    """0600, nothing else left in the directory, and a second proof takes the first one's place."""
    dump = tmp_path / _PROVEN.backup_file
    assert load_proof(dump) is None
    assert proof_path(dump) == write_proof(dump, _REFUTED)
    write_proof(dump, _PROVEN)
    assert _PROVEN == load_proof(dump)
    assert 0o600 == stat.S_IMODE(proof_path(dump).stat().st_mode)
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_a_failed_write_leaves_the_old_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk refuses, the old proof stands and our partial file is gone."""
    dump = tmp_path / _PROVEN.backup_file
    write_proof(dump, _REFUTED)

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable, "sync", refuse)
    with pytest.raises(PgvowError, match="Input/output error"):
        write_proof(dump, _PROVEN)
    assert _REFUTED == load_proof(dump)
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_a_partial_file_of_a_dead_run_is_taken_over(tmp_path: Path) -> None:
    """What a killed run left half-written is neither in the way nor in the new proof."""
    dump = tmp_path / _PROVEN.backup_file
    (tmp_path / (proof_path(dump).name + ".partial")).write_bytes(b"x" * 10_000)
    write_proof(dump, _PROVEN)
    assert _PROVEN == load_proof(dump)
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_two_at_once_leave_one_whole_proof(tmp_path: Path) -> None:
    """Runs that prove the same backup at the same time do not mix what they write."""
    dump = tmp_path / _PROVEN.backup_file
    proofs = [replace(_PROVEN, rows=rows) for rows in range(20)]
    threads = [threading.Thread(target=write_proof, args=(dump, proof)) for proof in proofs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load_proof(dump) in proofs
    assert {proof_path(dump).name} == backups.contents(tmp_path)


def test_a_refusal_of_the_file_system_is_ours(tmp_path: Path) -> None:
    """A directory that is not there, or a link in our way, is told in our own errors."""
    with pytest.raises(PgvowError):
        write_proof(tmp_path / "nowhere" / "a.dump", _PROVEN)
    dump = tmp_path / _PROVEN.backup_file
    (tmp_path / (proof_path(dump).name + ".partial")).symlink_to(tmp_path / "victim")
    with pytest.raises((PgvowError, AccessDenied)):
        write_proof(dump, _PROVEN)
    assert not (tmp_path / "victim").exists()


def test_a_listing_has_the_proof_of_that_very_dump(tmp_path: Path) -> None:
    """A proof of other bytes, a broken one, and a named pipe are as good as none."""
    facts = backups.metadata()
    dump = backups.place(tmp_path, facts)
    its = replace(_PROVEN, checksum_sha256=facts.checksum_sha256, backup_file=dump.name)
    store = LocalStore(tmp_path)

    def listed() -> Proof | None:
        (backup,) = store.list()
        assert BackupStatus.OK is backup.status
        return backup.proof

    assert listed() is None
    write_proof(dump, its)
    assert its == listed()
    write_proof(dump, _PROVEN)
    assert listed() is None
    proof_path(dump).write_bytes(b"{")
    assert listed() is None
    proof_path(dump).unlink()
    os.mkfifo(proof_path(dump))
    assert listed() is None
