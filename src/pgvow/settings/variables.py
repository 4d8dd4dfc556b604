"""The names of the variables that settings are read from, and which of them hold secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgvow.settings.declared_option import CONFIG_VARIABLE, option
from pgvow.settings.values import VARIABLE

ENV_MODE = "ENV_MODE"
PG_BIN = "PGVOW_PG_BIN"
OWN = frozenset({PG_BIN, CONFIG_VARIABLE, "PGVOW_DEBUG"})
"""Those of pgvow itself."""


SECRET_PARAMETERS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
"""libpq's parameters that are secrets; the scram keys log in as well as the password does."""

SECRET_VARIABLES = frozenset({"DEV_DB_PASSWORD", "DB_PASSWORD", "PGPASSWORD"})
"""Variables whose values are secrets."""

_PARTS = ("HOST", "PORT", "NAME", "USER", "PASSWORD")
_SECRET = SECRET_PARAMETERS | SECRET_VARIABLES


class Masked(Mapping[str, str]):
    """A mapping that cannot be changed, and whose ``repr`` keeps the values of secret keys."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> str:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        shown = (
            f"{key!r}: {'***' if key in _SECRET else repr(value)}"
            for key, value in self._items.items()
        )
        return "{" + ", ".join(shown) + "}"


@dataclass(frozen=True, slots=True)
class VariableNames:
    """The names of the variables that a source's connection is read from.

    They begin with ``prefix``: ``STAGING_DB`` for ``STAGING_DB_HOST``, ``STAGING_DB_NAME`` …; but
    for the database, those that begin with ``fallback`` serve if they are not set.
    """

    prefix: str = option(
        VARIABLE,
        required=True,
        shown="the name and `_DB`",
        meaning="with what its variables begin",
        example='"STAGING_DB"',
    )
    url_variable: str = option(
        VARIABLE,
        required=True,
        shown="the name and `_DATABASE_URL`",
        meaning="the variable with its URL",
        example='"STAGING_URL"',
    )
    fallback: str = ""
    user_required: bool = True

    def of(self, part: str) -> tuple[str, ...]:
        """Return the variables of HOST, PORT, NAME, USER or PASSWORD; the first set counts."""
        prefixes = (self.prefix, "" if part == "NAME" else self.fallback)
        return tuple(f"{prefix}_{part}" for prefix in prefixes if prefix)

    @property
    def own(self) -> tuple[str, str, str]:
        """The first of database, host and user: a URL has these itself, both are an error."""
        return (self.of("NAME")[0], self.of("HOST")[0], self.of("USER")[0])

    @property
    def every(self) -> frozenset[str]:
        """All of them."""
        return frozenset(name for part in _PARTS for name in self.of(part)) | {self.url_variable}


DEVELOPMENT_VARIABLES = VariableNames(
    "DEV_DB", "DEV_DATABASE_URL", fallback="DB", user_required=False
)
PRODUCTION_VARIABLES = VariableNames("DB", "DATABASE_URL")

# https://www.postgresql.org/docs/18/libpq-envars.html. A list, not all that begin with PG:
# many an .env has PGADMIN_DEFAULT_PASSWORD and PGDATA, which libpq does not read.
# fmt: off
LIBPQ = frozenset({
    "PGAPPNAME", "PGCHANNELBINDING", "PGCLIENTENCODING", "PGCONNECT_TIMEOUT", "PGDATABASE",
    "PGDATESTYLE", "PGGEQO", "PGGSSDELEGATION", "PGGSSENCMODE", "PGGSSLIB", "PGHOST",
    "PGHOSTADDR", "PGKRBSRVNAME", "PGLOADBALANCEHOSTS", "PGLOCALEDIR", "PGMAXPROTOCOLVERSION",
    "PGMINPROTOCOLVERSION", "PGOPTIONS", "PGPASSFILE", "PGPASSWORD", "PGPORT", "PGREQUIREAUTH",
    "PGREQUIREPEER", "PGREQUIRESSL", "PGSERVICE", "PGSERVICEFILE", "PGSSLCERT", "PGSSLCERTMODE",
    "PGSSLCOMPRESSION", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLKEY", "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION", "PGSSLMODE", "PGSSLNEGOTIATION", "PGSSLROOTCERT", "PGSSLSNI",
    "PGSYSCONFDIR", "PGTARGETSESSIONATTRS", "PGTZ", "PGUSER",
})
# fmt: on

KNOWN = LIBPQ | DEVELOPMENT_VARIABLES.every | PRODUCTION_VARIABLES.every | {ENV_MODE, PG_BIN}
"""All that are read; a settings file may hold the variables of other programs besides."""
