"""Reading metadata from the file system: bounded, and never waiting for anything but a disk."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pgvow.file_errors import refusals
from pgvow.store import names
from pgvow.store.metadata import MetadataError, decode

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.model import Metadata

# 150 bytes or so for each table: room for more than a million of them.
_LARGEST = 256 << 20


def load_metadata(dump_path: Path) -> Metadata:
    """Read the metadata that lies beside a dump.

    Raises MetadataError where it is missing or broken, AccessDenied or PgvowError where the file
    system refuses. Whether it names this dump is for the caller to compare.
    """
    path = dump_path.with_name(names.metadata_name(dump_path.name))
    try:
        with refusals("read", path):
            return read_metadata(path)
    except MetadataError as error:
        raise error.with_facts({"Metadata": str(path)}) from None


def read_metadata(path: Path | str) -> Metadata:
    """Read one metadata file; raises MetadataError, also where it is missing, and OSError."""
    try:
        # A named pipe would otherwise wait for somebody to write into it.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MetadataMissingError([f"there is no {os.path.basename(path)}"]) from None  # noqa: PTH119 - may be str, and this is called 10,000 times a listing
    try:
        return decode(_read(fd))
    finally:
        os.close(fd)


class MetadataMissingError(MetadataError):
    """There is no metadata; for whoever tells that from metadata that is broken."""


def _read(fd: int) -> bytes:
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        raise MetadataError(["is not a regular file"])
    if about.st_size > _LARGEST:
        raise MetadataError([f"is too large for metadata: {about.st_size} bytes"])
    data = os.read(fd, about.st_size)
    while len(data) < about.st_size and (more := os.read(fd, about.st_size - len(data))):
        data += more
    return data
