"""Make a connection of one environment's variables, or of its URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow.settings import connecting_by_url
from pgvow.settings.connection import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    LEFT_TO_LIBPQ,
    Connection,
    Origin,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgvow.settings.reading import Found, Reading
    from pgvow.settings.sources import Sourced
    from pgvow.settings.variables import Block


def connect(block: Block, reading: Reading) -> Connection | None:
    """Make the connection; None where the reading has problems with it."""
    url = reading.sources.get(block.url)
    if url is None:
        return _from_variables(block, reading)
    beside = {name: found for name in block.own if (found := reading.sources.get(name))}
    if not beside:
        return connecting_by_url.connect(block, url, reading)
    _set_both_ways(block, url, beside, reading)
    return None


def _set_both_ways(
    block: Block, url: Sourced, beside: Mapping[str, Sourced], reading: Reading
) -> None:
    also = ", ".join(f"{name} from {found.source}" for name, found in beside.items())
    reading.complain(block.url, url.source, f"is set, and so is {also}: keep one or the other")
    # Both are read all the same: whichever is kept, its problems are to be known today.
    connecting_by_url.connect(block, url, reading)
    _read_variables(block, reading)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the variables say, as far as they do."""

    host: Found | None
    port: Found | None
    dbname: Found | None
    user: Found | None
    password: Found | None


def _read_variables(block: Block, reading: Reading) -> _Parts:
    return _Parts(
        host=reading.host(block.host),
        port=reading.port(block.port),
        dbname=reading.dbname(block.dbname),
        user=reading.user(block.user),
        password=reading.password(block.password),
    )


def _from_variables(block: Block, reading: Reading) -> Connection | None:
    before = len(reading.problems)
    parts = _read_variables(block, reading)
    _require(block.dbname, "database", block, reading)
    if block.user_required:
        _require(block.user, "user", block, reading)
    if parts.dbname is None or len(reading.problems) > before:
        return None
    return Connection(
        host=parts.host.value if parts.host else DEFAULT_HOST,
        port=int(parts.port.value) if parts.port else DEFAULT_PORT,
        dbname=parts.dbname.value,
        user=parts.user.value if parts.user else None,
        password=parts.password.value if parts.password else None,
        environment=block.environment,
        origins={
            "host": _origin(parts.host, block.host, f"not set: {DEFAULT_HOST}"),
            "port": _origin(parts.port, block.port, f"not set: {DEFAULT_PORT}"),
            "dbname": parts.dbname.origin,
            "user": _origin(parts.user, block.user, LEFT_TO_LIBPQ),
            "password": _origin(parts.password, block.password, LEFT_TO_LIBPQ),
        },
    )


def _origin(found: Found | None, variables: Sequence[str], otherwise: str) -> Origin:
    return found.origin if found else Origin(variables[0], None, otherwise)


def _require(variables: Sequence[str], what: str, block: Block, reading: Reading) -> None:
    if reading.first(variables) is None:
        example = "project" if what == "database" else "backup"
        reading.complain(
            variables[0],
            None,
            f"is not set; {block.environment} needs to know its {what}"
            f" ({block.url} would say it as well)",
            f"{variables[0]}={example}",
        )
