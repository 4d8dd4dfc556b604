"""How metadata came about that were made from a dump alone: its source was never seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.formats import moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

UNCHECKED = (
    "that the file is the one that was written: no checksum of it was recorded",
    "that its rows are all that the source had: they are counted in the file itself",
    "the source's version, name and time: they are as the file's header has them",
)
"""Facts of a dump without metadata that no check can show."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """That metadata were made from a dump ``at`` a time; counts and digests are of the file.

    ``file`` is the name of the dump that was given, empty if it was read and not adopted. ``facts``
    maps a key of the metadata to its origin: ``header``, ``file``, ``name``, ``option`` or
    ``settings``. ``sections`` are those of the archive.
    """

    file: str
    at: datetime
    facts: Mapping[str, str]
    sections: tuple[str, ...]

    def __str__(self) -> str:
        if not self.file:
            return "never seen: no metadata are beside the file"
        return f"never seen; adopted from {self.file}, {moment(self.at)}"
