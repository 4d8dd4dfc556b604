"""Every variable the settings are read from: the two blocks' own, and libpq's."""

from __future__ import annotations

from dataclasses import dataclass

from pgvow.model import DEV, PROD

ENV_MODE = "ENV_MODE"
PG_BIN = "PGVOW_PG_BIN"
OWN = frozenset({PG_BIN, "PGVOW_CONFIG", "PGVOW_DEBUG"})
"""Those of pgvow itself."""


@dataclass(frozen=True, slots=True)
class Block:
    """The variables of one environment; where several are named, the first that is set serves."""

    environment: str
    host: tuple[str, ...]
    port: tuple[str, ...]
    dbname: tuple[str, ...]
    user: tuple[str, ...]
    password: tuple[str, ...]
    url: str
    user_required: bool

    @property
    def own(self) -> tuple[str, str, str]:
        """The block's own name, host and user: what a URL says itself and must not meet."""
        return (self.dbname[0], self.host[0], self.user[0])


DEVELOPMENT = Block(
    environment=DEV,
    host=("DEV_DB_HOST", "DB_HOST"),
    port=("DEV_DB_PORT", "DB_PORT"),
    dbname=("DEV_DB_NAME",),
    user=("DEV_DB_USER", "DB_USER"),
    password=("DEV_DB_PASSWORD", "DB_PASSWORD"),
    url="DEV_DATABASE_URL",
    user_required=False,
)

PRODUCTION = Block(
    environment=PROD,
    host=("DB_HOST",),
    port=("DB_PORT",),
    dbname=("DB_NAME",),
    user=("DB_USER",),
    password=("DB_PASSWORD",),
    url="DATABASE_URL",
    user_required=True,
)

# https://www.postgresql.org/docs/18/libpq-envars.html. A list and not "whatever begins with PG":
# PGADMIN_DEFAULT_PASSWORD and PGDATA stand in many an .env and are none of our tools' business.
LIBPQ = frozenset(
    {
        "PGAPPNAME",
        "PGCHANNELBINDING",
        "PGCLIENTENCODING",
        "PGCONNECT_TIMEOUT",
        "PGDATABASE",
        "PGDATESTYLE",
        "PGGEQO",
        "PGGSSDELEGATION",
        "PGGSSENCMODE",
        "PGGSSLIB",
        "PGHOST",
        "PGHOSTADDR",
        "PGKRBSRVNAME",
        "PGLOADBALANCEHOSTS",
        "PGLOCALEDIR",
        "PGMAXPROTOCOLVERSION",
        "PGMINPROTOCOLVERSION",
        "PGOPTIONS",
        "PGPASSFILE",
        "PGPASSWORD",
        "PGPORT",
        "PGREQUIREAUTH",
        "PGREQUIREPEER",
        "PGREQUIRESSL",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGSSLCERT",
        "PGSSLCERTMODE",
        "PGSSLCOMPRESSION",
        "PGSSLCRL",
        "PGSSLCRLDIR",
        "PGSSLKEY",
        "PGSSLMAXPROTOCOLVERSION",
        "PGSSLMINPROTOCOLVERSION",
        "PGSSLMODE",
        "PGSSLNEGOTIATION",
        "PGSSLROOTCERT",
        "PGSSLSNI",
        "PGSYSCONFDIR",
        "PGTARGETSESSIONATTRS",
        "PGTZ",
        "PGUSER",
    }
)


def _read() -> frozenset[str]:
    names = {ENV_MODE, PG_BIN, *LIBPQ}
    for block in (DEVELOPMENT, PRODUCTION):
        names |= {*block.host, *block.port, *block.dbname, *block.user, *block.password, block.url}
    return frozenset(names)


KNOWN = _read()
"""All of them; a settings file may hold the variables of other programs besides."""
