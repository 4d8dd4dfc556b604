"""Read single settings and check them; what is wrong is collected, not raised."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow.errors import Problem
from pgvow.settings.connection import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgvow.settings.sources import Sourced, Sources

MAX_NAME_BYTES = 63
"""NAMEDATALEN - 1: the server cuts longer names, and would look for another database."""

HOLLOW = "its ${…} refers to a variable that is not set"
"""Why a value may be shorter than the user thinks."""

_PORT = re.compile(r"[0-9]{1,5}")
_MAX_PORT = 65535


def is_port(text: str) -> bool:
    """Tell whether the text is a decimal number from 1 to 65535."""
    return _PORT.fullmatch(text) is not None and 1 <= int(text) <= _MAX_PORT


def flaw(value: str) -> str | None:
    """Say why a value cannot be handed to libpq at all."""
    if "\0" in value:
        return "contains a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def name_flaw(value: str) -> str | None:
    """Say why a value cannot be the name of a database or a user."""
    if found := _blank(value) or flaw(value):
        return found
    if "://" in value:
        return "is a URL, where a name belongs"
    size = len(value.encode())
    if size > MAX_NAME_BYTES:
        return f"has {size} bytes; PostgreSQL's names have {MAX_NAME_BYTES} at most"
    return None


def host_flaw(value: str) -> str | None:
    """Say why a value cannot be a host, an address or a socket directory."""
    if found := _blank(value) or flaw(value):
        return found
    return "is a URL, where a host's name belongs" if "://" in value else None


def _blank(value: str) -> str | None:
    if not value:
        return "is empty"
    return None if value.strip() else "is only white space"


@dataclass(frozen=True, slots=True)
class Found:
    """A value that passed its checks, and where it comes from."""

    value: str = field(repr=False)
    origin: Origin


class Reading:
    """One reading of the settings: the sources, and all the problems met so far.

    Each method takes variables, of which the first that is set counts; it answers None where
    none is set, and where the value is unusable, which is then among the problems.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.problems: list[Problem] = sources.problems

    def first(self, variables: Sequence[str]) -> tuple[str, Sourced] | None:
        """Find the first variable that is set, be it empty."""
        for variable in variables:
            if sourced := self.sources.get(variable):
                return variable, sourced
        return None

    def complain(
        self, variable: str, source: str | None, complaint: str, example: str | None = None
    ) -> None:
        """Add a problem."""
        self.problems.append(Problem(variable, source, complaint, example))

    def host(self, variables: Sequence[str]) -> Found | None:
        """Read a host."""
        example = "127.0.0.1, or a socket directory such as /var/run/postgresql"
        return self._checked(variables, host_flaw, f"{variables[0]}={example}")

    def dbname(self, variables: Sequence[str]) -> Found | None:
        """Read a database's name."""
        return self._checked(variables, name_flaw, f"{variables[0]}=project")

    def user(self, variables: Sequence[str]) -> Found | None:
        """Read a user's name."""
        return self._checked(variables, name_flaw, f"{variables[0]}=backup")

    def port(self, variables: Sequence[str]) -> Found | None:
        """Read a port."""
        found = self.first(variables)
        if found is None or is_port(found[1].value):
            return _found(found)
        variable, sourced = found
        what = _blank(sourced.value) or (
            f"{self.sources.quote(sourced)} is not a port, a whole number from 1 to 65535"
        )
        self.complain(variable, sourced.source, what + _because(sourced), f"{variable}=5432")
        return None

    def password(self, variables: Sequence[str]) -> Found | None:
        """Read a password; an empty one counts as not set, for templates leave it so."""
        for variable in variables:
            sourced = self.sources.get(variable)
            if sourced is None or not sourced.value:
                continue
            if what := flaw(sourced.value):
                self.complain(variable, sourced.source, what)
                return None
            return _found((variable, sourced))
        return None

    def _checked(
        self, variables: Sequence[str], check: Callable[[str], str | None], example: str
    ) -> Found | None:
        found = self.first(variables)
        if found is None:
            return None
        variable, sourced = found
        if what := check(sourced.value):
            self.complain(variable, sourced.source, what + _because(sourced), example)
            return None
        return _found(found)


def _because(sourced: Sourced) -> str:
    return f", for {HOLLOW}" if sourced.hollow else ""


def _found(found: tuple[str, Sourced] | None) -> Found | None:
    if found is None:
        return None
    variable, sourced = found
    return Found(sourced.value, Origin(variable, sourced.source))
