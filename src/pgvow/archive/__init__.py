"""pg_dump's custom format: bytes in, facts out. Knows no server, no clock and no store."""

from __future__ import annotations

from pgvow.archive.contents import (
    Contents,
    LargeObjectContents,
    LargeObjects,
    Stored,
    TableContents,
)
from pgvow.archive.copy_statement import CopyTarget, copy_target
from pgvow.archive.copy_text_decoder import CopyTextError
from pgvow.archive.csv_text import csv_rows
from pgvow.archive.csv_text import header as csv_header
from pgvow.archive.database_locale import database_locale
from pgvow.archive.definitions import definitions_archive
from pgvow.archive.encodings import codec_for
from pgvow.archive.errors import ArchiveError, ArchiveTooNew, IncompleteArchive, OtherFormat
from pgvow.archive.head import Head
from pgvow.archive.header import Header, LocalTime
from pgvow.archive.pieces import Encoder, Piece, encoder_for
from pgvow.archive.primitives import OffsetState
from pgvow.archive.read import Examination, copy_text, examine_archive, read_archive
from pgvow.archive.roles import roles_named, superusers_named
from pgvow.archive.rows import CopyDigest, CopyFacts, count_rows
from pgvow.archive.sequences import SequencePosition, sequence_positions
from pgvow.archive.toc import Entry, Section, TableOfContents, read_toc
from pgvow.archive.unordered import UnorderedDigest
from pgvow.archive.write import ArchiveWriter
from pgvow.model import Compression

__all__ = [
    "ArchiveError",
    "ArchiveTooNew",
    "ArchiveWriter",
    "Compression",
    "Contents",
    "CopyDigest",
    "CopyFacts",
    "CopyTarget",
    "CopyTextError",
    "Encoder",
    "Entry",
    "Examination",
    "Head",
    "Header",
    "IncompleteArchive",
    "LargeObjectContents",
    "LargeObjects",
    "LocalTime",
    "OffsetState",
    "OtherFormat",
    "Piece",
    "Section",
    "SequencePosition",
    "Stored",
    "TableContents",
    "TableOfContents",
    "UnorderedDigest",
    "codec_for",
    "copy_target",
    "copy_text",
    "count_rows",
    "csv_header",
    "csv_rows",
    "database_locale",
    "definitions_archive",
    "encoder_for",
    "examine_archive",
    "read_archive",
    "read_toc",
    "roles_named",
    "sequence_positions",
    "superusers_named",
]
