"""What checks of a dump showed, as it is written beside it: one JSON object, read strictly.

Written long after the backup, by whoever verifies or proves it, as often as that is done: each
check adds to what was shown before.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pgvow import durable
from pgvow.errors import VerificationFailed
from pgvow.file_errors import refusals
from pgvow.finished_file import read_finished
from pgvow.json_reader import Reader, parse
from pgvow.model import Difference, DifferenceKind, Evidence, Level, Proof, Unreadable
from pgvow.store import names
from pgvow.store.files import partial
from pgvow.store.metadata import moment_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PROOF_VERSION = 1
_SHA256_DIGITS = 64
# A restore that brought nothing back differs in every table: 200 bytes or so for each.
_LARGEST = 64 << 20


class ProofError(VerificationFailed):
    """A proof that cannot be used; ``complaints`` has everything wrong with it."""

    def __init__(self, complaints: Sequence[str]) -> None:
        super().__init__("; ".join(complaints), steps=["Prove the backup again: pgvow prove FILE"])
        self.complaints = tuple(complaints)


def proof_path(dump: Path) -> Path:
    """Name the proof that belongs to a dump."""
    return dump.with_name(names.proof_name(dump.name))


def encode_proof(proof: Proof) -> bytes:
    """Write a proof as UTF-8 JSON, and read it back; raises ProofError."""
    found = {
        "proof_version": PROOF_VERSION,
        "level": proof.level,
        "backup_file": proof.backup_file,
        "checksum_sha256": proof.checksum_sha256,
        "passed": [_plain(evidence) for evidence in proof.passed],
        "failed": _plain(proof.failed) if proof.failed else None,
    }
    if proof.unreadable is not None:
        at = moment_text(proof.unreadable.at)
        found["unreadable"] = {"at": at, "cause": proof.unreadable.cause}
    try:
        text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProofError([f"cannot be written as JSON: {error}"]) from error
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if decode_proof(data) != proof:
        raise ProofError(["would not read back as it was written"])
    return data


def _plain(evidence: Evidence) -> dict[str, object]:
    return {**asdict(evidence), "at": moment_text(evidence.at)}


def decode_proof(data: bytes) -> Proof:
    """Read a proof; raises ProofError, with all that is wrong, and nothing else."""
    complaints: list[str] = []
    parsed = parse(data, complaints)
    if not isinstance(parsed, dict):
        raise ProofError(complaints or ["is not a JSON object"])
    proof = _proof(Reader(parsed, complaints))
    if complaints:
        raise ProofError(complaints)
    return proof


def _proof(reader: Reader) -> Proof:
    reader.count("proof_version", at_least=1)
    proof = Proof(
        backup_file=reader.file("backup_file"),
        checksum_sha256=reader.digest("checksum_sha256", _SHA256_DIGITS),
        passed=reader.objects("passed", _evidence),
        failed=reader.optional("failed", lambda key: reader.nested(key, _evidence)),
        unreadable=reader.optional("unreadable", lambda key: reader.nested(key, _unreadable)),
    )
    level = reader.optional("level", lambda key: reader.choice(key, tuple(Level)))
    if not reader.complaints:
        reader.complaints += _contradictions(proof, level)
    return proof


def _contradictions(proof: Proof, level: str | None) -> Iterator[str]:
    ranks = [one.level.rank for one in proof.passed]
    if ranks != sorted(set(ranks)):
        yield "passed does not have each level once, the lowest first"
    elif level != proof.level:
        yield f"level is {level!a}, and {proof.level or 'none'} was reached"
    if any(one.differences for one in proof.passed):
        yield "a check passed, and there are differences"
    if proof.failed and not proof.failed.differences:
        yield "a check failed, and there are no differences"


def _evidence(reader: Reader) -> Evidence:
    return Evidence(
        level=Level(reader.choice("level", tuple(Level)) or Level.VERIFIED),
        at=reader.moment("at"),
        seconds=reader.seconds("seconds"),
        tables=reader.count("tables"),
        rows=reader.count("rows"),
        differences=reader.objects("differences", _difference),
        server_version=reader.optional("server_version", reader.text),
        restore_seconds=reader.optional("restore_seconds", reader.seconds),
        pgvow_version=reader.optional("pgvow_version", reader.text),
    )


def _unreadable(reader: Reader) -> Unreadable:
    return Unreadable(at=reader.moment("at"), cause=reader.text("cause"))


def _difference(reader: Reader) -> Difference:
    kind = reader.choice("kind", tuple(DifferenceKind))
    return Difference(
        kind=DifferenceKind(kind or DifferenceKind.ROWS),
        name=reader.text("name"),
        expected=reader.text("expected"),
        found=reader.text("found"),
    )


def add_evidence(dump: Path, checksum_sha256: str, evidence: Evidence) -> Proof:
    """Add what one check showed to the proof beside its dump, and return what that says now.

    Raises AccessDenied, NoSpace, PgvowError or ProofError.
    """
    return _change(dump, checksum_sha256, lambda proof: proof.after(evidence))


def mark_unreadable(dump: Path, checksum_sha256: str, unreadable: Unreadable) -> Proof:
    """Record beside a dump that it cannot be read; a check that reads it takes that back.

    Raises AccessDenied, NoSpace, PgvowError or ProofError.
    """
    return _change(dump, checksum_sha256, lambda proof: replace(proof, unreadable=unreadable))


def _change(dump: Path, checksum_sha256: str, change: Callable[[Proof], Proof]) -> Proof:
    """Read the proof beside a dump, change it, and write it anew.

    The file is its owner's only, and appears whole or not at all. An older one is dropped if it is
    of other bytes or broken; one that cannot be read stays, for it may say that a check failed.
    Raises UnreadableFile, AccessDenied, NoSpace, PgvowError or ProofError.
    """
    path = proof_path(dump)
    with refusals("write", path), _partial_locked(partial(path)) as fd:
        try:
            proof = change(_known(dump, checksum_sha256))
            data = encode_proof(proof)
            os.truncate(fd, 0)
            _write(fd, data)
            durable.sync(fd)
            partial(path).rename(path)
        except BaseException:
            partial(path).unlink(missing_ok=True)
            raise
        durable.sync_directory(path.parent)
    return proof


def _known(dump: Path, checksum_sha256: str) -> Proof:
    """Read what is known of these very bytes."""
    with suppress(ProofError):
        proof = load_proof(dump)
        if proof is not None and proof.checksum_sha256 == checksum_sha256:
            return replace(proof, backup_file=dump.name)
    return Proof(dump.name, checksum_sha256)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def _partial_locked(path: Path) -> Iterator[int]:
    """Open the partial file, alone: one that a dead run left is taken over."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_still(fd, path):
                yield fd
                return
        finally:
            os.close(fd)


def _is_still(fd: int, path: Path) -> bool:
    """Whether the file goes by this name yet: whoever had the lock before has renamed it."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(about, os.fstat(fd))


def load_proof(dump: Path | str) -> Proof | None:
    """Read the proof beside a dump; None if there is none.

    Raises ProofError if it is broken, UnreadableFile or AccessDenied if it cannot be read, and
    PgvowError for other errors of the system.
    """
    text = os.fspath(dump)
    folder, slash, name = text.rpartition("/")
    try:
        data = read_finished(f"{folder}{slash}{names.proof_name(name)}", largest=_LARGEST)
    except FileNotFoundError:
        return None
    if data is None:
        raise ProofError(["is too large for a proof"])
    return decode_proof(data)
