"""The tables of an archive: the one that a name means, and those that the metadata record. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.model import RecordedTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pgvow.archive import TocEntry
    from pgvow.model import Metadata

_PUBLIC = "public"
_PARTS = re.compile(r'(?:(?P<schema>"(?:[^"]|"")+"|[^".]+)\.)?(?P<name>"(?:[^"]|"")+"|[^".]+)')
_SHOWN = 8
# difflib takes a second for some ten thousand names.
_COMPARED = 5_000
_SIMILAR = 0.6


def with_tables(metadata: Metadata, entries: Iterable[TocEntry]) -> Metadata:
    """Make ``tables`` of ``table_counts`` if the metadata have no more than the contract's keys.

    A key belongs to the entry that has it. One that no entry has stays a table: it is missing.
    """
    if metadata.tables:
        return metadata
    return replace(metadata, tables=tuple(_tables(metadata.table_counts, entries)))


def _tables(counts: Mapping[str, int], entries: Iterable[TocEntry]) -> Iterator[RecordedTable]:
    left = dict(counts)
    for entry in entries:
        if entry.is_table_data and (rows := left.pop(entry.key, None)) is not None:
            yield RecordedTable(entry.namespace, entry.tag, rows, size_bytes=0)
    for key, rows in left.items():
        schema, name = _parts_of(key) or (_PUBLIC, key)
        yield RecordedTable(schema, name, rows, size_bytes=0)


class UnknownTable(ConfigurationError):
    """No table of the archive has that name, or several could be meant; ``close`` names some."""

    title = "No such table"

    def __init__(self, cause: str, *, close: Sequence[str] = (), steps: Sequence[str] = ()) -> None:
        facts = {"Close to it": ", ".join(close)} if close else {}
        super().__init__(cause, facts=facts, steps=[*steps, "See all tables: pgvow show FILE"])
        self.close = tuple(close)


@dataclass(frozen=True, slots=True)
class TablesByName:
    """The tables of an archive that have rows in it, and the names of those that have none."""

    entries: tuple[TocEntry, ...]
    without_rows: frozenset[str] = frozenset()

    def find(self, name: str) -> TocEntry:
        """Return the table that is meant; raises UnknownTable.

        A key of ``table_counts`` is taken first. Else the name is read as SQL would read it (but
        for folding letters), and then as schema and table with a dot between. The first reading
        that fits exactly one table wins.
        """
        for matches in (self._by_key, self._by_parts, self._bare):
            fitting = [entry for entry in self.entries if matches(name)(entry)]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                keys = sorted(entry.key for entry in fitting)
                raise UnknownTable(f"{name} may be any of {len(keys)} tables", close=keys)
        raise self._unknown(name)

    @staticmethod
    def _by_key(name: str) -> Callable[[TocEntry], bool]:
        return lambda entry: entry.key == name

    @staticmethod
    def _by_parts(name: str) -> Callable[[TocEntry], bool]:
        wanted = _parts_of(name)
        return lambda entry: (entry.namespace, entry.tag) == wanted

    @staticmethod
    def _bare(name: str) -> Callable[[TocEntry], bool]:
        return lambda entry: (
            entry.name == name or (entry.namespace == _PUBLIC and entry.tag == name)
        )

    def _unknown(self, name: str) -> UnknownTable:
        close = _close(name, self.entries)
        if name in self.without_rows:
            return UnknownTable(
                f"the archive has no rows of {name}",
                close=close,
                steps=["A partitioned table has none of its own: name its partitions"],
            )
        return UnknownTable(f"the archive has no table {name}", close=close)


def _parts_of(name: str) -> tuple[str, str] | None:
    """Split a key of ``table_counts`` into schema and name; None if it is no key."""
    match = _PARTS.fullmatch(name)
    if match is None:
        return None
    return _unquoted(match["schema"] or _PUBLIC), _unquoted(match["name"])


def _close(name: str, entries: Iterable[TocEntry]) -> list[str]:
    """Return the keys most like a name: other cases and schemas first, then similar spelling."""
    wanted = _plain(name)
    last = wanted.rpartition(".")[2]
    keys = [entry.key for entry in entries]
    same = [entry.key for entry in entries if last in (_plain(entry.tag), _plain(entry.key))]
    by_plain = {_plain(key): key for key in keys[:_COMPARED]}
    similar = difflib.get_close_matches(wanted, by_plain, n=_SHOWN, cutoff=_SIMILAR)
    return list(dict.fromkeys([*sorted(same), *(by_plain[each] for each in similar)]))[:_SHOWN]


def _plain(name: str) -> str:
    return name.replace('"', "").casefold()


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
