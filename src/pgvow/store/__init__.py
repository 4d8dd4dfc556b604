"""Where backups live: their names, their metadata, the lock on them, and how one comes about."""

from pgvow.store.checksum import sha256_file
from pgvow.store.draft import Draft
from pgvow.store.durable import write_whole
from pgvow.store.in_use import being_read, being_removed
from pgvow.store.local import LocalStore
from pgvow.store.lock import RunLock, is_running
from pgvow.store.metadata import METADATA_VERSION, MetadataError, decode, encode
from pgvow.store.names import group, metadata_name, parse_stem, safe_name, stem, unsafe_name
from pgvow.store.opened import OpenedFile
from pgvow.store.proof import (
    ProofError,
    add_evidence,
    decode_proof,
    encode_proof,
    load_proof,
    mark_unreadable,
    proof_path,
)
from pgvow.store.reading import MetadataMissingError, load_metadata
from pgvow.store.recovery import Recovered, RecoveryAction
from pgvow.store.refusals import refusals
from pgvow.store.removal import begun, remove

__all__ = [
    "METADATA_VERSION",
    "Draft",
    "LocalStore",
    "MetadataError",
    "MetadataMissingError",
    "OpenedFile",
    "ProofError",
    "Recovered",
    "RecoveryAction",
    "RunLock",
    "add_evidence",
    "begun",
    "being_read",
    "being_removed",
    "decode",
    "decode_proof",
    "encode",
    "encode_proof",
    "group",
    "is_running",
    "load_metadata",
    "load_proof",
    "mark_unreadable",
    "metadata_name",
    "parse_stem",
    "proof_path",
    "refusals",
    "remove",
    "safe_name",
    "sha256_file",
    "stem",
    "unsafe_name",
    "write_whole",
]
