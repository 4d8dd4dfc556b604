"""Where finished backups live: the port, its adapters, names, metadata, proofs, the run log."""

from pgvow.store.backups import StoredBackup, backup_in, backups_in, load_metadata
from pgvow.store.directory import DirectoryStore, being_read
from pgvow.store.metadata import (
    METADATA_VERSION,
    MetadataError,
    MetadataMissingError,
    decode,
    encode,
    read_metadata,
)
from pgvow.store.names import (
    group,
    metadata_name,
    notes_name,
    parse_stem,
    proof_path,
    safe_name,
    stem,
    unsafe_name,
)
from pgvow.store.notes import NotesError, decode_notes, encode_notes
from pgvow.store.port import LeadsNowhereError, Stat, Store, read_whole, rewound
from pgvow.store.proof import ProofError, decode_proof, encode_proof

__all__ = [
    "METADATA_VERSION",
    "DirectoryStore",
    "LeadsNowhereError",
    "MetadataError",
    "MetadataMissingError",
    "NotesError",
    "ProofError",
    "Stat",
    "Store",
    "StoredBackup",
    "backup_in",
    "backups_in",
    "being_read",
    "decode",
    "decode_notes",
    "decode_proof",
    "encode",
    "encode_notes",
    "encode_proof",
    "group",
    "load_metadata",
    "metadata_name",
    "notes_name",
    "parse_stem",
    "proof_path",
    "read_metadata",
    "read_whole",
    "rewound",
    "safe_name",
    "stem",
    "unsafe_name",
]
