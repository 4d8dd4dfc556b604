"""Find the table that a person names: pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pgvow.archive import TocEntry

PUBLIC = "public"
_PARTS = re.compile(r'(?:(?P<schema>"(?:[^"]|"")+"|[^".]+)\.)?(?P<name>"(?:[^"]|"")+"|[^".]+)')
_SHOWN = 8
# difflib takes a second for some ten thousand names.
_COMPARED = 5_000
_SIMILAR = 0.6


class UnknownTable(ConfigurationError):
    """No table of the archive is called so, or several could be meant; ``close`` names some."""

    title = "No such table"

    def __init__(self, cause: str, *, close: Sequence[str] = (), steps: Sequence[str] = ()) -> None:
        facts = {"Close to it": ", ".join(close)} if close else {}
        super().__init__(cause, facts=facts, steps=[*steps, "See all tables: pgvow show FILE"])
        self.close = tuple(close)


@dataclass(frozen=True, slots=True)
class TableNames:
    """The tables of an archive whose rows are in it, and the names of what has none there."""

    entries: tuple[TocEntry, ...]
    without_rows: frozenset[str] = frozenset()

    def find(self, name: str) -> TocEntry:
        """Return the one table that is meant; raises UnknownTable.

        A key of ``table_counts`` is taken first. Else it is read as SQL would be (but for folding
        letters), and then as schema and table with a dot between: whatever names exactly one.
        """
        for matches in (self._by_key, self._by_parts, self._bare):
            found = [entry for entry in self.entries if matches(name)(entry)]
            if len(found) == 1:
                return found[0]
            if found:
                keys = sorted(entry.key for entry in found)
                raise UnknownTable(f"{name} may be any of {len(keys)} tables", close=keys)
        raise self._unknown(name)

    @staticmethod
    def _by_key(name: str) -> Callable[[TocEntry], bool]:
        return lambda entry: entry.key == name

    @staticmethod
    def _by_parts(name: str) -> Callable[[TocEntry], bool]:
        wanted = parts_of(name)
        return lambda entry: (entry.namespace, entry.tag) == wanted

    @staticmethod
    def _bare(name: str) -> Callable[[TocEntry], bool]:
        return lambda entry: entry.name == name or (entry.namespace == PUBLIC and entry.tag == name)

    def _unknown(self, name: str) -> UnknownTable:
        close = _close(name, self.entries)
        if name in self.without_rows:
            return UnknownTable(
                f"the archive has no rows of {name}",
                close=close,
                steps=["A partitioned table has none of its own: name its partitions"],
            )
        return UnknownTable(f"the archive has no table {name}", close=close)


def parts_of(name: str) -> tuple[str, str] | None:
    """Take a key of ``table_counts`` apart: schema and name; None where it is none."""
    match = _PARTS.fullmatch(name)
    if match is None:
        return None
    return _unquoted(match["schema"] or PUBLIC), _unquoted(match["name"])


def _close(name: str, entries: Iterable[TocEntry]) -> list[str]:
    """Return the keys most like a name: other cases and schemas first, then similar spelling."""
    wanted = _plain(name)
    last = wanted.rpartition(".")[2]
    keys = [entry.key for entry in entries]
    same = [entry.key for entry in entries if last in (_plain(entry.tag), _plain(entry.key))]
    by_plain = {_plain(key): key for key in keys[:_COMPARED]}
    similar = difflib.get_close_matches(wanted, by_plain, n=_SHOWN, cutoff=_SIMILAR)
    found = dict.fromkeys([*sorted(same), *(by_plain[one] for one in similar)])
    return list(found)[:_SHOWN]


def _plain(name: str) -> str:
    return name.replace('"', "").casefold()


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
