"""What an engine has done: an archive, and what is known of it without reading it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgvow.archive import Contents
    from pgvow.model import SnapshotFacts, TableFacts


@dataclass(frozen=True, slots=True)
class Filled:
    """``facts`` has what the server counted, by oid.

    ``contents`` is what was laid into the archive, and ``body_digest`` XXH3-128 of all that is
    behind its table of contents, where the engine did that itself: reading the file back once then
    shows that it is what was written.
    """

    facts: Mapping[int, TableFacts]
    contents: Contents | None = None
    body_digest: str | None = None
    snapshot: SnapshotFacts | None = None
