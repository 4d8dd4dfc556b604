"""What a restore showed, as it is written beside a dump: one JSON object, read strictly.

Written long after the backup, by whoever proves it, as often as it is proven: the last one stands.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from pgvow.errors import VerificationFailed
from pgvow.model import Difference, DifferenceKind, Level, Proof
from pgvow.store import durable, names
from pgvow.store.files import partial
from pgvow.store.metadata import moment_text
from pgvow.store.refusals import refusals
from pgvow.store.strict_json import Reader, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
        **asdict(proof),
        "proved_at": moment_text(proof.proved_at),
        "differences": [asdict(difference) for difference in proof.differences],
    }
    try:
        text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProofError([f"cannot be written as JSON: {error}"]) from error
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if decode_proof(data) != proof:
        raise ProofError(["would not read back as it was written"])
    return data


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
    level = reader.choice("level", tuple(Level))
    proof = Proof(
        proved_at=reader.moment("proved_at"),
        level=Level(level or Level.VERIFIED),
        backup_file=reader.file("backup_file"),
        checksum_sha256=reader.digest("checksum_sha256", _SHA256_DIGITS),
        server_version=reader.text("server_version"),
        seconds=reader.seconds("seconds"),
        restore_seconds=reader.seconds("restore_seconds"),
        tables=reader.count("tables"),
        rows=reader.count("rows"),
        differences=reader.objects("differences", _difference),
        pgvow_version=reader.optional("pgvow_version", reader.text),
    )
    if proof.level is Level.PROVEN and proof.differences:
        reader.complaints.append("level is 'proven', and there are differences")
    return proof


def _difference(reader: Reader) -> Difference:
    kind = reader.choice("kind", tuple(DifferenceKind))
    return Difference(
        kind=DifferenceKind(kind or DifferenceKind.ROWS),
        name=reader.text("name"),
        expected=reader.text("expected"),
        found=reader.text("found"),
    )


def write_proof(dump: Path, proof: Proof) -> Path:
    """Put the proof beside its dump, for its owner only, in place of an older one.

    It appears whole or not at all. Raises AccessDenied, NoSpace or PgvowError.
    """
    path, data = proof_path(dump), encode_proof(proof)
    with refusals("write", path), _partial_locked(partial(path)) as fd:
        try:
            os.truncate(fd, 0)
            _write(fd, data)
            durable.sync(fd)
            partial(path).rename(path)
        except BaseException:
            partial(path).unlink(missing_ok=True)
            raise
        durable.sync_directory(path.parent)
    return path


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
    """Read the proof beside a dump; None where there is none. Raises ProofError and OSError."""
    text = os.fspath(dump)
    folder, slash, name = text.rpartition("/")
    try:
        fd = os.open(
            f"{folder}{slash}{names.proof_name(name)}",
            os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC,
        )
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ProofError(["is too large for a proof"])
    return decode_proof(data)
