"""pg_dump's custom format: bytes in, facts out. Knows no server, no clock and no store."""

from __future__ import annotations

from pgvow.archive.contents import (
    Contents,
    LargeObjectContents,
    LargeObjects,
    Stored,
    TableContents,
)
from pgvow.archive.errors import ArchiveError, IncompleteArchive
from pgvow.archive.header import Compression, Header, LocalTime
from pgvow.archive.primitives import OffsetState
from pgvow.archive.read import Examination, copy_text, examine_archive, read_archive
from pgvow.archive.rows import CopyDigest, CopyFacts
from pgvow.archive.sequences import SequencePosition, sequence_positions
from pgvow.archive.toc import Entry, Section, TableOfContents, read_toc

__all__ = [
    "ArchiveError",
    "Compression",
    "Contents",
    "CopyDigest",
    "CopyFacts",
    "Entry",
    "Examination",
    "Header",
    "IncompleteArchive",
    "LargeObjectContents",
    "LargeObjects",
    "LocalTime",
    "OffsetState",
    "Section",
    "SequencePosition",
    "Stored",
    "TableContents",
    "TableOfContents",
    "copy_text",
    "examine_archive",
    "read_archive",
    "read_toc",
    "sequence_positions",
]
