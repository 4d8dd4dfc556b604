"""Give what one role owned or was granted to another: ``--owner-map``.

The old role need not exist. First everything is restored as by ``--no-owner``, without what names
roles; then an archive of our own, which has the other roles' names and no definition but of that,
lets pg_restore itself write each ALTER … OWNER TO, for all the kinds of objects that it knows.
``pgvow.operations.compare.filling`` does that; here the names are read and written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgvow.archive import kinds
from pgvow.errors import ConfigurationError, Problem
from pgvow.postgres.statements import statements, with_roles, written
from pgvow.small_file import read_small

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgvow.archive import TableOfContents, TocEntry


def read_owner_map(path: Path) -> dict[str, str]:
    """Read a line ``old=new`` each; ``#`` begins a comment. Raises ConfigurationError."""
    try:
        lines = read_small(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the owner map cannot be read: {error}",
            steps=["Check the path that --owner-map names"],
        ) from error
    result: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        old, equals, new = (part.strip() for part in line.partition("="))
        if not (old and equals and new) or old in result:
            complaint = "is mapped twice" if old in result else "is not old=new"
            source = f"{path} line {number}"
            problems.append(Problem(line.strip(), source, complaint, "shop_owner=shop_dev"))
            continue
        result[old] = new
    if problems:
        raise ConfigurationError.of(problems)
    return result


def mapped(toc: TableOfContents, owner_map: Mapping[str, str]) -> TableOfContents:
    """Write other roles into a table of contents: as owners, and in what is granted."""
    if not owner_map:
        return toc

    def renamed(name: str) -> str:
        return owner_map.get(name, name)

    def entry(one: TocEntry) -> TocEntry:
        defn = one.defn
        if one.desc in kinds.NAMING_ROLES or one.desc == kinds.DATABASE_PROPERTIES:
            found = (written(with_roles(each, renamed)) for each in statements(defn))
            defn = "".join(each.decode("utf-8", "surrogateescape") + ";\n" for each in found)
        return replace(one, owner=renamed(one.owner), defn=defn)

    return replace(toc, entries=tuple(map(entry, toc.entries)))
