"""Which roles an archive names: they are not in it, and a restore needs them to be there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.archive.toc import Entry, TableOfContents

# Whose owner must be a superuser.
_OF_SUPERUSERS = frozenset({"EVENT TRIGGER", "FOREIGN DATA WRAPPER", "SUBSCRIPTION"})
_NAMING = frozenset({"ACL", "DEFAULT ACL", "POLICY", "USER MAPPING"})
_TOKEN = re.compile(r"""(?P<name>"(?:[^"]|"")*")|'(?:[^']|'')*'|(?P<word>[^\s"'(),;]+)|[(),;]""")
# Words behind which a role's name stands, in statements of the kinds above.
_BEFORE_ROLE = frozenset({"TO", "FROM", "FOR", "ROLE", "AUTHORIZATION"})
# What is no role where it stands without quotes. A user mapping says "FOR public".
_NO_ROLE = frozenset(
    {"PUBLIC", "public", "CURRENT_USER", "SESSION_USER", "CURRENT_ROLE", "DEFAULT", "ROLE", "USER"}
    | {"ALL", "SELECT", "INSERT", "UPDATE", "DELETE"}  # a policy is FOR one of these
)


def roles_named(toc: TableOfContents) -> frozenset[str]:
    """Return every role that owns something, is granted something, or has a policy or mapping."""
    found = {entry.owner for entry in toc.entries}
    for entry in toc.entries:
        if entry.desc in _NAMING:
            found.update(_in_statements(entry.defn))
    return frozenset(found - {""})


def superusers_named(toc: TableOfContents) -> frozenset[str]:
    """Return the roles that own what only a superuser may own."""
    return frozenset(entry.owner for entry in toc.entries if _needs_superuser(entry))


def _needs_superuser(entry: Entry) -> bool:
    return entry.desc in _OF_SUPERUSERS and bool(entry.owner)


def _in_statements(text: str) -> Iterator[str]:
    """Yield the roles of GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, CREATE POLICY, USER MAPPING.

    Inside parentheses there are columns and expressions, and no roles.
    """
    depth, expected = 0, False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        depth += (mark == "(") - (mark == ")")
        if depth or mark in "()":
            continue
        name = _role(token) if expected else None
        if name is not None:
            yield name
        goes_on = text.startswith(",", token.end())  # "TO a, b"
        expected = mark in _BEFORE_ROLE or (expected and (mark == "," or goes_on))


def _role(token: re.Match[str]) -> str | None:
    if token["name"] is not None:
        return token["name"][1:-1].replace('""', '"')
    word = token["word"]
    return word if word is not None and word not in _NO_ROLE else None
