"""Where backups live: their names, their metadata, the lock on them, and how one comes about."""

from pgvow.store.checksum import sha256_file
from pgvow.store.draft import Draft
from pgvow.store.local import LocalStore
from pgvow.store.lock import RunLock, is_running
from pgvow.store.metadata import METADATA_VERSION, MetadataError, decode, encode
from pgvow.store.names import group, metadata_name, parse_stem, safe_name, stem, unsafe_name
from pgvow.store.reading import MetadataMissingError, load_metadata
from pgvow.store.recovery import Recovered, RecoveryAction

__all__ = [
    "METADATA_VERSION",
    "Draft",
    "LocalStore",
    "MetadataError",
    "MetadataMissingError",
    "Recovered",
    "RecoveryAction",
    "RunLock",
    "decode",
    "encode",
    "group",
    "is_running",
    "load_metadata",
    "metadata_name",
    "parse_stem",
    "safe_name",
    "sha256_file",
    "stem",
    "unsafe_name",
]
