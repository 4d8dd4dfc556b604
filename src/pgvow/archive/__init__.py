"""Read and write pg_dump's custom format, without a server, a clock or a store."""

from __future__ import annotations

from pgvow.archive.blocks import (
    ArchiveContents,
    ArchivedLargeObjects,
    ArchivedTable,
    LargeObjects,
    StoredBlock,
)
from pgvow.archive.compression import Encoder, Piece, encoder_for
from pgvow.archive.csv_text import CopyTextError, csv_field, csv_rows, decode_field, encode_field
from pgvow.archive.csv_text import header as csv_header
from pgvow.archive.entry_sql import (
    CopyTarget,
    SequencePosition,
    copy_target,
    database_locale,
    has_identity_always,
    primary_keys,
    roles_named,
    sequence_positions,
    superuser_entries,
    superusers_named,
)
from pgvow.archive.errors import ArchiveError, ArchiveTooNew, IncompleteArchive, OtherFormat
from pgvow.archive.head import Head, definitions_archive
from pgvow.archive.header import Header, LocalTime
from pgvow.archive.primitives import OffsetState, codec_for
from pgvow.archive.read import CopyTexts, ExaminedArchive, copy_text, examine_archive, read_archive
from pgvow.archive.rows import (
    CopyDigest,
    CopyFacts,
    UnorderedDigest,
    count_rows,
    picker,
    whole_rows,
)
from pgvow.archive.toc import Section, TableOfContents, TocEntry, read_toc
from pgvow.archive.write import ArchiveWriter
from pgvow.model import Compression

__all__ = [
    "ArchiveContents",
    "ArchiveError",
    "ArchiveTooNew",
    "ArchiveWriter",
    "ArchivedLargeObjects",
    "ArchivedTable",
    "Compression",
    "CopyDigest",
    "CopyFacts",
    "CopyTarget",
    "CopyTextError",
    "CopyTexts",
    "Encoder",
    "ExaminedArchive",
    "Head",
    "Header",
    "IncompleteArchive",
    "LargeObjects",
    "LocalTime",
    "OffsetState",
    "OtherFormat",
    "Piece",
    "Section",
    "SequencePosition",
    "StoredBlock",
    "TableOfContents",
    "TocEntry",
    "UnorderedDigest",
    "codec_for",
    "copy_target",
    "copy_text",
    "count_rows",
    "csv_field",
    "csv_header",
    "csv_rows",
    "database_locale",
    "decode_field",
    "definitions_archive",
    "encode_field",
    "encoder_for",
    "examine_archive",
    "has_identity_always",
    "picker",
    "primary_keys",
    "read_archive",
    "read_toc",
    "roles_named",
    "sequence_positions",
    "superuser_entries",
    "superusers_named",
    "whole_rows",
]
