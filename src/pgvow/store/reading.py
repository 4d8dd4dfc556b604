"""Reading metadata from the file system: bounded, and never waiting for anything but a disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pgvow.finished_file import read_finished
from pgvow.store import names
from pgvow.store.metadata import MetadataError, decode

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.model import Metadata

# 150 bytes or so for each table: room for more than a million of them.
_LARGEST = 256 << 20


def load_metadata(dump_path: Path) -> Metadata:
    """Read the metadata that lies beside a dump.

    Raises MetadataError if it is missing or broken, UnreadableFile or AccessDenied if it cannot be
    read, and PgvowError for other errors of the system. Whether it names this dump is for the
    caller to compare.
    """
    path = dump_path.with_name(names.metadata_name(dump_path.name))
    try:
        return read_metadata(path)
    except MetadataError as error:
        raise error.with_facts({"Metadata": str(path)}) from None


def read_metadata(path: Path | str) -> Metadata:
    """Read one metadata file; raises what ``load_metadata`` raises."""
    try:
        data = read_finished(path, largest=_LARGEST)
    except FileNotFoundError:
        raise MetadataMissingError([f"there is no {os.path.basename(path)}"]) from None  # noqa: PTH119 - may be str, and this is called 10,000 times a listing
    if data is None:
        raise MetadataError([f"is too large for metadata: more than {_LARGEST} bytes"])
    return decode(data)


class MetadataMissingError(MetadataError):
    """Raised when the metadata file is missing, as opposed to invalid."""
