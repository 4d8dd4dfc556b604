"""pg_dump's custom format: bytes in, facts out. Knows no server, no clock and no store."""

from __future__ import annotations

from pgvow.archive.errors import ArchiveError, IncompleteArchive
from pgvow.archive.header import Compression, Header, LocalTime
from pgvow.archive.primitives import OffsetState
from pgvow.archive.toc import Entry, Section, TableOfContents, read_toc

__all__ = [
    "ArchiveError",
    "Compression",
    "Entry",
    "Header",
    "IncompleteArchive",
    "LocalTime",
    "OffsetState",
    "Section",
    "TableOfContents",
    "read_toc",
]
