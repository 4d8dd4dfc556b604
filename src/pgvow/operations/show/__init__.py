"""What is in a backup, without a server."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import roles_named
from pgvow.errors import AccessDenied, UnreadableFile
from pgvow.model import level_reached
from pgvow.operations.show.contents import read_facts
from pgvow.operations.show.stock_commands import stock_restore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Level, Proof
    from pgvow.operations.show.contents import BackupFacts, TableRows
    from pgvow.operations.show.stock_commands import StockRestore
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup

# Entries that say how to read the others, and are no objects.
_NO_OBJECTS = frozenset({"ENCODING", "STDSTRINGS", "SEARCHPATH"})
_EXTENSION = "EXTENSION"


@dataclass(frozen=True, slots=True)
class Shown:
    """What is in a backup: ``facts``, and what is made of them.

    ``tables`` are the largest first. ``environment`` and ``moment`` are None where neither metadata
    nor the file's name tell; ``objects`` counts the entries of each kind, the most frequent first.
    ``unreadable`` has the causes for which metadata or proof cannot be read.
    """

    facts: BackupFacts
    database: str
    environment: str | None
    moment: datetime | None
    tables: tuple[TableRows, ...]
    objects: Mapping[str, int]
    roles: tuple[str, ...]
    extensions: tuple[str, ...]
    globals_file: Path | None
    proof: Proof | None
    restore: StockRestore
    unreadable: tuple[str, ...] = ()

    @property
    def level(self) -> Level | None:
        """The highest level of trust that it has reached."""
        return level_reached(self.facts.metadata, self.proof)


def show_backup(backup: StoredBackup, *, progress: Progress) -> Shown:
    """Look into a backup; its rows are read only where the metadata do not tell them.

    Raises NotABackupFile, AccessDenied, and ArchiveError where the archive is damaged as far as it
    had to be read: that nothing else is, only verifying can tell.
    """
    facts = read_facts(backup, progress=progress, fingerprints=False)
    stem, known = backup.stem, facts.metadata
    globals_name = backup.globals_name(known)
    globals_file = backup.path.with_name(globals_name) if backup.has(globals_name) else None
    unreadable = [facts.unreadable] if facts.unreadable else []
    try:
        proof = backup.proof_of(known) if known else None
    except (UnreadableFile, AccessDenied) as error:
        proof = None
        unreadable.append(error.cause)
    return Shown(
        facts=facts,
        database=known.database_name if known else facts.toc.header.database,
        environment=known.environment if known else stem and stem.environment,
        moment=known.backup_timestamp if known else stem and stem.moment,
        tables=tuple(sorted(facts.tables, key=_largest_first)),
        objects=_objects(facts),
        roles=tuple(sorted(roles_named(facts.toc))),
        extensions=_extensions(facts),
        globals_file=globals_file,
        proof=proof,
        restore=stock_restore(backup.path, facts.toc, globals_file),
        unreadable=tuple(unreadable),
    )


def _largest_first(table: TableRows) -> tuple[int, int, str]:
    size = table.bytes if table.bytes is not None else table.size_bytes
    return -(size or 0), -(table.rows or 0), table.key


def _objects(facts: BackupFacts) -> Mapping[str, int]:
    counted = Counter(entry.desc for entry in facts.toc.entries if entry.desc not in _NO_OBJECTS)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _extensions(facts: BackupFacts) -> tuple[str, ...]:
    return tuple(sorted(entry.tag for entry in facts.toc.entries if entry.desc == _EXTENSION))
