"""Read a dump to its last byte: its checksum, and what is in every table of it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xxhash

from pgvow.archive import ArchiveError, read_archive, sequence_positions
from pgvow.errors import VerificationFailed
from pgvow.model import LargeObjectFacts, SequenceFacts, TocFacts
from pgvow.progress import Phase, Step
from pgvow.store import sha256_file

_READ_BYTES = 1 << 20

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from pgvow.archive import Contents
    from pgvow.engine.filled import Filled
    from pgvow.model import TableFacts
    from pgvow.progress import Progress


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a reading of the whole file found; ``size`` is bytes."""

    checksum_sha256: str
    size: int
    contents: Contents


def inspect_file(file: BinaryIO, progress: Progress) -> Inspection:
    """Decode every byte of an open file, and take the checksum at its side.

    Raises ArchiveError where anything does not decode.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as pool:
        checksum = pool.submit(sha256_file, file.fileno())
        contents = read_archive(file, progress=progress)
        digest, size = checksum.result()
    return Inspection(digest, size, contents)


def read_what_was_written(file: BinaryIO, filled: Filled, progress: Progress) -> Inspection:
    """Read back a file whose contents its engine knows, for the checksum.

    Raises ArchiveError where it is not what was written.
    """
    contents = filled.contents
    if contents is None:
        raise ValueError("the engine knows nothing of the contents")
    sha256, body = hashlib.sha256(), xxhash.xxh3_128()
    head = file.read(contents.toc.end)
    sha256.update(head)
    size = len(head)
    while block := file.read(_READ_BYTES):
        sha256.update(block)
        body.update(block)
        size += len(block)
        progress.update(Step(Phase.CHECKSUM, size, contents.size))
    found = (xxhash.xxh3_128_hexdigest(head), body.hexdigest(), size)
    if found != (contents.toc.digest, filled.body_digest, contents.size):
        raise ArchiveError("the file is not what was written to it", offset=0)
    return Inspection(sha256.hexdigest(), size, contents)


def compare_with_witness(
    contents: Contents, counted: Mapping[int, TableFacts]
) -> tuple[TableFacts, ...]:
    """Set the archive beside the server's word, table by table.

    ``counted`` maps a table's oid to what the server counted. Returns the same facts with what the
    archive holds of each table added. Raises VerificationFailed where rows differ.
    """
    found = {table.entry.oid: table for table in contents.tables}
    differences = [
        f"{facts.key}: {facts.rows} rows on the server, {found[oid].rows} in the archive"
        for oid, facts in counted.items()
        if oid in found and found[oid].rows != facts.rows
    ]
    if differences:
        raise VerificationFailed(
            "the archive does not hold what the server held: " + "; ".join(differences),
            steps=["Nothing was published; run it again", "If it happens again, report it"],
        )
    return tuple(
        replace(
            facts,
            bytes=found[oid].size,
            fingerprint=found[oid].fingerprint,
            stored=found[oid].stored.digest,
        )
        for oid, facts in counted.items()
    )


def toc_facts(contents: Contents) -> TocFacts:
    """What is recorded of the table of contents."""
    return TocFacts(contents.toc.digest, len(contents.toc.entries))


def large_object_facts(contents: Contents) -> LargeObjectFacts:
    """What is recorded of the large objects."""
    objects = contents.large_objects
    return LargeObjectFacts(
        count=objects.count,
        bytes=objects.size,
        fingerprint=objects.fingerprint,
        stored=tuple(entry.stored.digest for entry in contents.large_object_entries),
    )


def sequence_facts(contents: Contents) -> tuple[SequenceFacts, ...]:
    """What is recorded of the sequences."""
    return tuple(
        SequenceFacts(one.schema, one.name, one.last_value, one.is_called)
        for one in sequence_positions(contents.toc)
    )


def unreadable(error: ArchiveError) -> VerificationFailed:
    """What it means when a dump that was just written does not decode."""
    return VerificationFailed(
        f"what was just written cannot be read back: {error}",
        facts=error.facts,
        steps=["Check the disk: dmesg | tail", "Then run it again"],
    )
