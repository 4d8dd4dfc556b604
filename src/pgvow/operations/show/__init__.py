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
from pgvow.store import ProofError, load_proof, parse_stem
from pgvow.store.names import DUMP, GLOBALS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from pgvow.model import Level, Proof
    from pgvow.operations.show.contents import BackupFacts, TableRows
    from pgvow.operations.show.stock_commands import StockRestore
    from pgvow.progress import Progress

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


def show_backup(path: Path, *, progress: Progress) -> Shown:
    """Look into a backup; its rows are read only where the metadata do not tell them.

    Raises NotABackupFile, AccessDenied, and ArchiveError where the archive is damaged as far as it
    had to be read: that nothing else is, only verifying can tell.
    """
    facts = read_facts(path, progress=progress, fingerprints=False)
    stem = parse_stem(path.name.removesuffix(DUMP))
    known = facts.metadata
    globals_file = _globals(facts)
    unreadable = [facts.unreadable] if facts.unreadable else []
    try:
        proof = _proof(facts)
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
        restore=stock_restore(path, facts.toc, globals_file),
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


def _globals(facts: BackupFacts) -> Path | None:
    """Find the roles that were kept beside the dump."""
    named = facts.metadata.globals if facts.metadata else None
    name = named.file if named else facts.path.name.removesuffix(DUMP) + GLOBALS
    file = facts.path.with_name(name)
    return file if file.is_file() else None


def _proof(facts: BackupFacts) -> Proof | None:
    """Load what checks showed of this very file; a broken proof is as good as none."""
    try:
        proof = load_proof(facts.path)
    except ProofError:
        return None
    if proof is None or facts.metadata is None:
        return None
    return proof if proof.checksum_sha256 == facts.metadata.checksum_sha256 else None
