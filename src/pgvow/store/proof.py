"""The proof beside a dump: one JSON object with the evidence of its checks, read strictly.

It is written long after the backup, whenever the backup is verified or proven: each check adds to
it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pgvow.errors import VerificationFailed
from pgvow.json_reader import JsonReader, parse
from pgvow.model import Difference, DifferenceKind, Evidence, Level, Proof, Unreadable
from pgvow.recovery import (
    LoosenedObject,
    NeededExtension,
    NeededRole,
    NeededTablespace,
    RecoveryNeeds,
    RecoveryTime,
)
from pgvow.store import names
from pgvow.store.metadata import moment_text
from pgvow.store.port import LARGEST_UPDATED, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pgvow.store.port import Store

PROOF_VERSION = 1
_SHA256_DIGITS = 64


class ProofError(VerificationFailed):
    """A proof that cannot be used; ``complaints`` has everything wrong with it."""

    def __init__(self, complaints: Sequence[str]) -> None:
        super().__init__("; ".join(complaints), steps=["Prove the backup again: pgvow prove FILE"])
        self.complaints = tuple(complaints)


def encode_proof(proof: Proof) -> bytes:
    """Write a proof as UTF-8 JSON, and read it back; raises ProofError."""
    document = {
        "proof_version": PROOF_VERSION,
        "level": proof.level,
        "backup_file": proof.backup_file,
        "checksum_sha256": proof.checksum_sha256,
        "passed": [_plain(evidence) for evidence in proof.passed],
        "failed": _plain(proof.failed) if proof.failed else None,
    }
    if proof.unreadable is not None:
        at = moment_text(proof.unreadable.at)
        document["unreadable"] = {"at": at, "cause": proof.unreadable.cause}
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProofError([f"cannot be written as JSON: {error}"]) from error
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if decode_proof(data) != proof:
        raise ProofError(["would not read back as it was written"])
    return data


def _plain(evidence: Evidence) -> dict[str, object]:
    plain = {**asdict(evidence), "at": moment_text(evidence.at)}
    if not evidence.broken_rules:
        del plain["broken_rules"]
    return plain


def decode_proof(data: bytes) -> Proof:
    """Read a proof; raises ProofError, with all that is wrong, and nothing else."""
    complaints: list[str] = []
    parsed = parse(data, complaints)
    if not isinstance(parsed, dict):
        raise ProofError(complaints or ["is not a JSON object"])
    proof = _proof(JsonReader(parsed, complaints))
    if complaints:
        raise ProofError(complaints)
    return proof


def _proof(reader: JsonReader) -> Proof:
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
    ranks = [evidence.level.rank for evidence in proof.passed]
    if ranks != sorted(set(ranks)):
        yield "passed does not have each level once, the lowest first"
    elif level != proof.level:
        yield f"level is {level!a}, and {proof.level or 'none'} was reached"
    if any(evidence.differences for evidence in proof.passed):
        yield "a check passed, and there are differences"
    if proof.failed and not proof.failed.differences:
        yield "a check failed, and there are no differences"


def _evidence(reader: JsonReader) -> Evidence:
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
        broken_rules=reader.optional("broken_rules", lambda key: reader.objects(key, _loosened))
        or (),
        recovery=reader.optional("recovery", lambda key: reader.nested(key, _recovery)),
        needs=reader.optional("needs", lambda key: reader.nested(key, _needs)),
    )


def _loosened(reader: JsonReader) -> LoosenedObject:
    return LoosenedObject(
        name=reader.text("name"),
        reason=reader.text("reason"),
        instead=reader.text("instead"),
        rows=reader.optional("rows", reader.count),
        query=reader.optional("query", reader.text),
    )


def _recovery(reader: JsonReader) -> RecoveryTime:
    return RecoveryTime(
        estimated_seconds=reader.seconds("estimated_seconds"),
        stages=reader.nested("stages", lambda inner: inner.all_seconds()),
        compare_seconds=reader.seconds("compare_seconds"),
        jobs=reader.count("jobs", at_least=1),
        processors=reader.count("processors", at_least=1),
        throwaway=reader.flag("throwaway"),
        rows=reader.count("rows"),
        dump_bytes=reader.count("dump_bytes"),
        database_bytes=reader.optional("database_bytes", reader.count),
    )


def _needs(reader: JsonReader) -> RecoveryNeeds:
    return RecoveryNeeds(
        postgresql_major=reader.count("postgresql_major"),
        pg_restore_major=reader.count("pg_restore_major"),
        encoding=reader.text("encoding"),
        locale=reader.texts("locale"),
        icu=reader.flag("icu"),
        superuser=reader.flag("superuser"),
        superuser_for=reader.text_list("superuser_for"),
        extensions=reader.objects("extensions", _extension),
        roles=reader.objects("roles", _role),
        tablespaces=reader.objects("tablespaces", _tablespace),
        preload_libraries=reader.text_list("preload_libraries"),
        dump_bytes=reader.count("dump_bytes"),
        database_bytes=reader.optional("database_bytes", reader.count),
    )


def _extension(reader: JsonReader) -> NeededExtension:
    version = reader.optional("version", reader.text)
    return NeededExtension(reader.text("name"), reader.flag("contrib"), version)


def _role(reader: JsonReader) -> NeededRole:
    return NeededRole(reader.text("name"), reader.flag("archive"), reader.flag("globals"))


def _tablespace(reader: JsonReader) -> NeededTablespace:
    return NeededTablespace(reader.text("name"), reader.optional("location", reader.text))


def _unreadable(reader: JsonReader) -> Unreadable:
    return Unreadable(at=reader.moment("at"), cause=reader.text("cause"))


def _difference(reader: JsonReader) -> Difference:
    kind = reader.choice("kind", tuple(DifferenceKind))
    return Difference(
        kind=DifferenceKind(kind or DifferenceKind.ROWS),
        name=reader.text("name"),
        expected=reader.text("expected"),
        found=reader.text("found"),
    )


def read_proof(store: Store, dump_name: str) -> Proof | None:
    """Read the proof of a dump; None if there is none.

    Raises ProofError if it is broken, UnreadableFile or AccessDenied if it cannot be read, and
    PgvowError for other errors of the system.
    """
    try:
        data = read_whole(store, names.proof_name(dump_name), largest=LARGEST_UPDATED)
    except FileNotFoundError:
        return None
    if data is None:
        raise ProofError(["is too large for a proof"])
    return decode_proof(data)


def change_proof(
    store: Store, dump_name: str, checksum_sha256: str, change: Callable[[Proof], Proof]
) -> Proof:
    """Change the proof of the bytes with this checksum, and return the new one.

    An older proof is dropped if it is of other bytes or broken; one that cannot be read stays, for
    it may hold a check that failed. Raises UnreadableFile, AccessDenied, NoSpace, PgvowError or
    ProofError.
    """
    proof = Proof(dump_name, checksum_sha256)

    def changed(data: bytes | None) -> bytes:
        nonlocal proof
        known = Proof(dump_name, checksum_sha256)
        with suppress(ProofError):
            older = decode_proof(data) if data is not None else known
            if older.checksum_sha256 == checksum_sha256:
                known = replace(older, backup_file=dump_name)
        proof = change(known)
        return encode_proof(proof)

    store.update(names.proof_name(dump_name), changed)
    return proof
