"""What of a backup is code, and whose: a restore runs it, and so does whoever uses the database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.archive import superuser_entries
from pgvow.operations.show.contents import read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.archive import Entry, TableOfContents
    from pgvow.progress import Progress
    from pgvow.store import StoredBackup

_KINDS = frozenset(
    {
        "AGGREGATE", "CHECK CONSTRAINT", "EVENT TRIGGER", "EXTENSION", "FUNCTION", "PROCEDURE",
        "PROCEDURAL LANGUAGE", "RULE", "TRIGGER",
    }
)  # fmt: skip
# Parts of a definition that the server runs for each row; a comment or a default may have the words
# too, and is then listed though it is none.
_PARTS = {
    "GENERATED COLUMN": re.compile(r"\bGENERATED ALWAYS AS \("),
    "CHECK": re.compile(r"\bCHECK \("),
    "PARTITION KEY": re.compile(r"^PARTITION BY .*\(.*\(", re.MULTILINE),
    "INDEX EXPRESSION": re.compile(r"\A[^(]+ USING \w+ \(.*\("),
}
_DEFINED_IN = {
    "TABLE": ("GENERATED COLUMN", "CHECK", "PARTITION KEY"),
    "FOREIGN TABLE": ("GENERATED COLUMN", "CHECK"),
    "DOMAIN": ("CHECK",),
    "INDEX": ("INDEX EXPRESSION",),
}


@dataclass(frozen=True, slots=True)
class Code:
    """One object that has code: its owner ('' for an extension), kind and name.

    ``needs_superuser`` tells that a superuser has to restore it, and that so it may do anything.
    """

    owner: str
    kind: str
    name: str
    needs_superuser: bool


def code_in_backup(backup: StoredBackup, *, progress: Progress) -> tuple[Code, ...]:
    """List the code of a backup by owner, kind and name, from its table of contents.

    Raises NotABackupFile, AccessDenied and ArchiveError as ``show_backup`` does.
    """
    return code_in(read_facts(backup, progress=progress, fingerprints=False).toc)


def code_in(toc: TableOfContents) -> tuple[Code, ...]:
    """List the code of an archive by owner, kind and name."""
    above = superuser_entries(toc.entries)
    found = {
        Code(entry.owner, kind, entry.name, entry.dump_id in above)
        for entry in toc.entries
        for kind in _kinds(entry)
    }
    return tuple(sorted(found, key=lambda one: (one.owner, one.kind, one.name)))


def _kinds(entry: Entry) -> Iterator[str]:
    if entry.desc in _KINDS:
        yield entry.desc
    for kind in _DEFINED_IN.get(entry.desc, ()):
        if _PARTS[kind].search(entry.defn):
            yield kind
