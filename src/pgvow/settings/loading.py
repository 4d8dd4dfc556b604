"""Read everything, report all problems at once, or give one frozen Settings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError
from pgvow.model import PROD
from pgvow.settings.connecting import connect
from pgvow.settings.connection import DEFAULT_HOST
from pgvow.settings.environment import AUTO, choose
from pgvow.settings.masking import SECRET_VARIABLES, Masked
from pgvow.settings.permissions import readable_by_others
from pgvow.settings.reading import HOLLOW, Reading, flaw
from pgvow.settings.sources import FILES, Sources
from pgvow.settings.variables import LIBPQ, PG_BIN, Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.settings.configuration import EnvironmentSection
    from pgvow.settings.connection import Connection

# A connection names these itself, whatever the variables say.
_SET_BY_US = frozenset({"PGHOST", "PGPORT", "PGDATABASE", "PGAPPNAME", "PGCLIENTENCODING"})
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run, checked.

    ``origins`` maps host, port, dbname, user and password to where each comes from.
    ``libpq_variables`` are those that only a settings file sets: a process's environment has the
    others, and these must be put there, or handed to libpq, by whoever connects. ``libpq_origins``
    has all that libpq heeds, and where each comes from. ``exposed`` warns of files with a password
    that others can read.
    """

    environment: str
    connection: Connection
    origins: Mapping[str, str]
    environment_reason: str
    pg_bin: Path | None = None
    libpq_variables: Mapping[str, str] = field(default_factory=Masked)
    libpq_origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "libpq_variables", Masked(self.libpq_variables))


def load(
    *,
    env: str = AUTO,
    environ: Mapping[str, str],
    directory: Path,
    environments: Mapping[str, EnvironmentSection] = MappingProxyType({}),
) -> Settings:
    """Read the environment, and ``.env.local`` and ``.env`` of a directory.

    ``environments`` are those that ``pgvow.toml`` adds to the two of the contract.
    Raises ConfigurationError with every problem there is, AccessDenied where a file may not be
    read.
    """
    reading = Reading(Sources.read(environ=environ, directory=directory))
    chosen = choose(env, reading, environments)
    connection = connect(chosen[0], reading) if chosen else None
    pg_bin = _pg_bin(reading)
    libpq_variables = _libpq_variables(reading)
    if chosen is None or connection is None or reading.problems:
        raise ConfigurationError.of(list(dict.fromkeys(reading.problems)))
    return Settings(
        environment=connection.environment,
        connection=connection,
        origins={setting: origin.set_by for setting, origin in connection.origins.items()},
        environment_reason=chosen[1],
        pg_bin=pg_bin,
        libpq_variables=libpq_variables,
        libpq_origins=_libpq_origins(connection, reading.sources),
        warnings=tuple(_warnings(chosen[0], connection, reading.sources)),
        exposed=tuple(_readable(connection, reading.sources, directory)),
    )


def load_pg_bin(*, environ: Mapping[str, str], directory: Path) -> Path | None:
    """Read ``PGVOW_PG_BIN`` alone, for what needs tools and no database; raises like ``load``."""
    reading = Reading(Sources.read(environ=environ, directory=directory))
    reading.problems.clear()  # a file that is wrong elsewhere is no reason not to verify
    pg_bin = _pg_bin(reading)
    if reading.problems:
        raise ConfigurationError.of(reading.problems)
    return pg_bin


def _pg_bin(reading: Reading) -> Path | None:
    sourced = reading.sources.get(PG_BIN)
    if sourced is None:
        return None
    complaint = flaw(sourced.value) or (None if sourced.value.strip() else "is empty")
    if sourced.value.startswith("~"):
        complaint = "begins with ~, which no shell expands here: write the whole path"
    if complaint:
        example = f"{PG_BIN}=/usr/lib/postgresql/18/bin"
        reading.complain(PG_BIN, sourced.source, complaint, example)
        return None
    return Path(sourced.value)


def _libpq_variables(reading: Reading) -> dict[str, str]:
    """Gather libpq's variables of the files; empty ones are not set, for libpq balks at them."""
    found = reading.sources.only_in_files(sorted(LIBPQ))
    for name, sourced in found.items():
        if complaint := flaw(sourced.value):
            reading.complain(name, sourced.source, complaint)
    return {name: sourced.value for name, sourced in found.items() if sourced.value}


def _libpq_origins(connection: Connection, sources: Sources) -> dict[str, str]:
    """Say where each of libpq's variables comes from that the connection does not set itself."""
    overruled = _SET_BY_US | {
        variable
        for variable, ours in (("PGUSER", connection.user), ("PGPASSWORD", connection.password))
        if ours is not None
    }
    found = {name: sources.get(name) for name in sorted(LIBPQ - overruled)}
    return {name: sourced.source for name, sourced in found.items() if sourced and sourced.value}


def _warnings(block: Block, connection: Connection, sources: Sources) -> Iterator[str]:
    origin = connection.origins["host"]
    if block.environment == PROD and (here := _THIS_MACHINE.intersection(_servers(connection))):
        yield (
            f"Production is on this machine, {min(here)}. Is that the server you mean? See {origin}"
        )
    if origin.variable == block.url and origin.source is None:
        yield (
            f"{block.url} names no host, so {DEFAULT_HOST} it is;"
            " for a socket write postgresql:///name?host=/var/run/postgresql"
        )
    address = sources.get("PGHOSTADDR")
    if address and address.value and "hostaddr" not in connection.params:
        yield (
            f"PGHOSTADDR is set in {address.source}: libpq connects to that address,"
            f" whatever the host is ({connection.host})"
        )
    yield from _hollow(block, connection, sources)


def _readable(connection: Connection, sources: Sources, directory: Path) -> Iterator[str]:
    """Warn of settings files with a password in them that others may read."""
    variables = set(SECRET_VARIABLES)
    if origin := connection.origins.get("password"):
        variables.add(origin.variable)
    for name in FILES:
        path = directory / name
        found = (sources.from_files(variable) for variable in sorted(variables))
        in_file = (one for one in found if one and one.value and one.source.startswith(f"{name} "))
        if any(in_file) and readable_by_others(path):
            yield (
                f"{path} has a password in it, and every user of this machine may read it:"
                f" chmod 600 {shlex.quote(str(path))}"
            )


def _servers(connection: Connection) -> list[str]:
    """What is connected to: names, and addresses, which count before names."""
    addresses = connection.params.get("hostaddr", "").split(",")
    return [server.lower() for server in (*connection.hosts, *addresses)]


def _hollow(block: Block, connection: Connection, sources: Sources) -> Iterator[str]:
    used = (origin.variable for origin in connection.origins.values())
    # A password that came out empty was passed over, and is not among the origins.
    for variable in dict.fromkeys([*used, *block.password]):
        sourced = sources.get(variable)
        if sourced and sourced.hollow:
            yield (
                f"{variable} from {sourced.source} may not be what you mean: {HOLLOW};"
                " where ${ itself is meant, write ${:-$}{"
            )
