"""Compare a restored schema with a reference on the same server, and with the backup's entries.

A server rewords what it reads back, so a schema cannot be compared with the source's as text. The
archive's schema is restored a second time, into an empty database of the same server, and both are
dumped by that server's pg_dump: every entry must be the same. And every object that the backup's
own table of contents names must be there.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from typing import TYPE_CHECKING

from pgvow.archive import kinds, read_toc
from pgvow.model import Difference, DifferenceKind
from pgvow.postgres.pg_restore import dump_schema
from pgvow.postgres.private_directories import temporary_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.pg_restore import ToolsFor

# Not in a dump of the schema alone, or not of what is in the database.
_NOT_COMPARED = kinds.PREAMBLE | kinds.OF_DATABASE | kinds.DATA
_OF_OTHERS = ("DATABASE ", "LARGE OBJECT ", "LARGE OBJECTS ")
# In an archive only where the schema was asked for by name; a whole database's leaves it out.
_COMES_WITH_A_DATABASE = "IS 'standard public schema'"
_SHOWN = 200

_Name = tuple[str, str, str]


def compare_schemas(
    found: TableOfContents, reference: TableOfContents, wanted: Iterable[TocEntry]
) -> Iterator[Difference]:
    """Yield what differs between two schemas, and which ``wanted`` entries are not in ``found``."""
    yield from _missing(wanted, found)
    yield from _changed(reference, found)


def schema_of(tools: ToolsFor, dbname: str) -> TableOfContents:
    """Dump the schema of a database; raises what ``dump_schema`` raises, NoSpace among it."""
    with temporary_files(), tempfile.TemporaryFile() as file:
        dump_schema(tools, dbname, file)
        file.seek(0)
        return read_toc(file)


def _is_compared(entry: TocEntry) -> bool:
    return (
        entry.desc not in _NOT_COMPARED
        and not entry.tag.startswith(_OF_OTHERS)
        and not (entry.tag == "SCHEMA public" and _COMES_WITH_A_DATABASE in entry.defn)
    )


def _name(entry: TocEntry) -> _Name:
    return entry.desc, entry.namespace, entry.tag


def _shown(name: _Name) -> str:
    desc, namespace, tag = name
    return f"{desc} {namespace}.{tag}" if namespace else f"{desc} {tag}"


def _missing(wanted: Iterable[TocEntry], found: TableOfContents) -> Iterator[Difference]:
    there = {_name(entry) for entry in found.entries}
    for entry in wanted:
        if _is_compared(entry) and _name(entry) not in there:
            yield Difference(
                DifferenceKind.OBJECT_MISSING, _shown(_name(entry)), "an object", "nothing"
            )


def _changed(expected: TableOfContents, found: TableOfContents) -> Iterator[Difference]:
    """Compare the entries of two dumps; what is missing from both was told already."""
    wanted, there = _definitions(expected), _definitions(found)
    for name in sorted(wanted.keys() | there.keys()):
        missing, extra = wanted.get(name, Counter()), there.get(name, Counter())
        if missing != extra:
            yield Difference(
                DifferenceKind.SCHEMA,
                _shown(name),
                *_first_difference(missing - extra, extra - missing),
            )


def _definitions(toc: TableOfContents) -> dict[_Name, Counter[str]]:
    found: dict[_Name, Counter[str]] = {}
    for entry in filter(_is_compared, toc.entries):
        told = f"{entry.defn}\n-- owner: {entry.owner}\n-- access method: {entry.table_am}"
        found.setdefault(_name(entry), Counter())[told] += 1
    return found


def _first_difference(missing: Counter[str], extra: Counter[str]) -> tuple[str, str]:
    """Return the first line that the two do not share, of each."""
    if not missing or not extra:
        return ("an object", "nothing") if missing else ("nothing", "an object")
    pairs = zip(
        [*min(missing).splitlines(), "(nothing more)"],
        [*min(extra).splitlines(), "(nothing more)"],
        strict=False,
    )
    wanted, found = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    return wanted.strip()[:_SHOWN], found.strip()[:_SHOWN]
