"""Compare a restored schema with a reference on the same server, and with the backup's entries.

A server reads definitions back in other words, so a schema cannot be compared with the source's as
text. The archive's schema is restored a second time, into an empty database of the same server, and
both are dumped by that server's pg_dump: every entry must be the same. And every object of the
backup's own table of contents must be among them.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from pgvow.archive import kinds, read_toc
from pgvow.model import Difference, DifferenceKind
from pgvow.postgres.pg_restore import dump_schema
from pgvow.postgres.private_directories import temporary_files

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from pgvow.archive import TableOfContents, TocEntry
    from pgvow.postgres.pg_restore import ServerTools

# These are not in a dump of the schema alone, or are not contents of the database.
_NOT_COMPARED = kinds.PREAMBLE | kinds.OF_DATABASE | kinds.DATA
_OF_OTHERS = ("DATABASE ", "LARGE OBJECT ", "LARGE OBJECTS ")
# Only a dump of schemas by name has this comment; that of a whole database leaves it out.
_COMES_WITH_A_DATABASE = "IS 'standard public schema'"
_SHOWN = 200

_Name = tuple[str, str, str]


def compare_schemas(
    restored: TableOfContents,
    reference: TableOfContents,
    entries: Iterable[TocEntry],
    *,
    loose: Container[str] = (),
) -> Iterator[Difference]:
    """Yield the differences of two schemas, and the ``entries`` that ``restored`` lacks.

    Entries with the names of ``loose`` are known to have another form, and are not compared.
    """
    differences = chain(_missing(entries, restored), _changed(reference, restored))
    yield from (each for each in differences if each.name not in loose)


def schema_of(tools: ServerTools, dbname: str) -> TableOfContents:
    """Dump the schema of a database; raises the errors of ``dump_schema``, NoSpace among them."""
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


def _missing(entries: Iterable[TocEntry], restored: TableOfContents) -> Iterator[Difference]:
    existing = {_name(entry) for entry in restored.entries}
    for entry in entries:
        if _is_compared(entry) and _name(entry) not in existing:
            yield Difference(
                DifferenceKind.OBJECT_MISSING, _shown(_name(entry)), "an object", "nothing"
            )


def _changed(reference: TableOfContents, restored: TableOfContents) -> Iterator[Difference]:
    """Compare the entries of two dumps by name; ``_missing`` yields those that both lack."""
    expected, actual = _definitions(reference), _definitions(restored)
    for name in sorted(expected.keys() | actual.keys()):
        missing, extra = expected.get(name, Counter()), actual.get(name, Counter())
        if missing != extra:
            yield Difference(
                DifferenceKind.SCHEMA,
                _shown(name),
                *_first_difference(missing - extra, extra - missing),
            )


def _definitions(toc: TableOfContents) -> dict[_Name, Counter[str]]:
    """Count the definitions of each name, which several entries may have."""
    definitions: defaultdict[_Name, Counter[str]] = defaultdict(Counter)
    for entry in filter(_is_compared, toc.entries):
        text = f"{entry.defn}\n-- owner: {entry.owner}\n-- access method: {entry.table_am}"
        definitions[_name(entry)][text] += 1
    return definitions


def _first_difference(missing: Counter[str], extra: Counter[str]) -> tuple[str, str]:
    """Return the first line that the two do not share, of each."""
    if not missing or not extra:
        return ("an object", "nothing") if missing else ("nothing", "an object")
    pairs = zip(
        [*min(missing).splitlines(), "(nothing more)"],
        [*min(extra).splitlines(), "(nothing more)"],
        strict=False,
    )
    expected, actual = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    return expected.strip()[:_SHOWN], actual.strip()[:_SHOWN]
