"""Read everything, report all problems at once, or give one frozen Settings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pgvow.errors import ConfigurationError, Problem
from pgvow.model import PROD
from pgvow.settings.configuration import DEVELOPMENT, PRODUCTION
from pgvow.settings.connection import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    HOLLOW,
    LEFT_TO_LIBPQ,
    Connection,
    SettingOrigin,
    SettingsReader,
    flaw,
)
from pgvow.settings.connection_url import connect_by_url
from pgvow.settings.env_files import FILES, Variables, readable_by_others
from pgvow.settings.values import AUTO
from pgvow.settings.variables import ENV_MODE, KNOWN, LIBPQ, OWN, PG_BIN, SECRET_VARIABLES, Masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pgvow.settings.configuration import Source
    from pgvow.settings.connection import CheckedValue
    from pgvow.settings.variables import VariableNames

# A connection names these itself, whatever the variables say.
_SET_BY_US = frozenset({"PGHOST", "PGPORT", "PGDATABASE", "PGAPPNAME", "PGCLIENTENCODING"})
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run, checked: those of one source.

    ``origins`` maps host, port, dbname, user and password to the place of each.
    ``libpq_variables`` are those that only a settings file sets: a process's environment has the
    others, and these must be put there, or handed to libpq, before connecting. ``libpq_origins``
    has all that libpq heeds, with their places. ``exposed`` warns of files with a password
    that others can read.
    """

    source: Source
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

    @property
    def environment(self) -> str:
        """The name of the source, as in ``--env``."""
        return self.source.name


def load(
    *,
    env: str = AUTO,
    environ: Mapping[str, str],
    directory: Path,
    environments: Mapping[str, Source] = MappingProxyType({}),
) -> Settings:
    """Read the environment, and ``.env.local`` and ``.env`` of a directory.

    ``environments`` are those that ``pgvow.toml`` adds to the two of the contract.
    Raises ConfigurationError with every problem there is, AccessDenied if a file may not be
    read.
    """
    reader = SettingsReader(Variables.read(environ=environ, directory=directory))
    chosen = choose(env, reader, environments)
    connection = _connect(chosen[0], reader) if chosen else None
    pg_bin = _pg_bin(reader)
    libpq_variables = _libpq_variables(reader)
    if chosen is None or connection is None or reader.problems:
        raise ConfigurationError.of(list(dict.fromkeys(reader.problems)))
    return Settings(
        source=replace(chosen[0], databases=(connection.dbname,)),
        connection=connection,
        origins={setting: origin.set_by for setting, origin in connection.origins.items()},
        environment_reason=chosen[1],
        pg_bin=pg_bin,
        libpq_variables=libpq_variables,
        libpq_origins=_libpq_origins(connection, reader.variables),
        warnings=tuple(_warnings(chosen[0], connection, reader.variables)),
        exposed=tuple(_readable(connection, reader.variables, directory)),
    )


def load_pg_bin(*, environ: Mapping[str, str], directory: Path) -> Path | None:
    """Read ``PGVOW_PG_BIN`` alone, for commands without a database; raises like ``load``."""
    reader = SettingsReader(Variables.read(environ=environ, directory=directory))
    reader.problems.clear()  # a file that is wrong elsewhere is no reason not to verify
    pg_bin = _pg_bin(reader)
    if reader.problems:
        raise ConfigurationError.of(reader.problems)
    return pg_bin


def _connect(source: Source, reader: SettingsReader) -> Connection | None:
    """Make the connection of a source; None if the reader has problems with it."""
    names = source.variables
    url = reader.variables.get(names.url_variable)
    if url is None:
        return _connect_by_variables(source, reader)
    beside = {name: value for name in names.own if (value := reader.variables.get(name))}
    if not beside:
        return connect_by_url(source, url, reader)
    also = ", ".join(f"{name} from {value.source}" for name, value in beside.items())
    complaint = f"is set, and so is {also}: keep one or the other"
    reader.complain(names.url_variable, url.source, complaint)
    # Both are read all the same, so that the problems of the one that is kept are known today.
    connect_by_url(source, url, reader)
    _read_variables(names, reader)
    return None


@dataclass(frozen=True, slots=True)
class _ConnectionParts:
    """The settings of a connection that its variables give; None if not set, or unusable."""

    host: CheckedValue | None
    port: CheckedValue | None
    dbname: CheckedValue | None
    user: CheckedValue | None
    password: CheckedValue | None


def _read_variables(names: VariableNames, reader: SettingsReader) -> _ConnectionParts:
    return _ConnectionParts(
        host=reader.host(names.of("HOST")),
        port=reader.port(names.of("PORT")),
        dbname=reader.dbname(names.of("NAME")),
        user=reader.user(names.of("USER")),
        password=reader.password(names.of("PASSWORD")),
    )


def _connect_by_variables(source: Source, reader: SettingsReader) -> Connection | None:
    before = len(reader.problems)
    names = source.variables
    parts = _read_variables(names, reader)
    _require(names.of("NAME"), "database", source, reader)
    if names.user_required:
        _require(names.of("USER"), "user", source, reader)
    if parts.dbname is None or len(reader.problems) > before:
        return None
    return Connection(
        host=parts.host.value if parts.host else DEFAULT_HOST,
        port=int(parts.port.value) if parts.port else DEFAULT_PORT,
        dbname=parts.dbname.value,
        user=parts.user.value if parts.user else None,
        password=parts.password.value if parts.password else None,
        environment=source.name,
        origins={
            "host": _origin(parts.host, names.of("HOST"), f"not set: {DEFAULT_HOST}"),
            "port": _origin(parts.port, names.of("PORT"), f"not set: {DEFAULT_PORT}"),
            "dbname": parts.dbname.origin,
            "user": _origin(parts.user, names.of("USER"), LEFT_TO_LIBPQ),
            "password": _origin(parts.password, names.of("PASSWORD"), LEFT_TO_LIBPQ),
        },
    )


def _origin(value: CheckedValue | None, names: Sequence[str], otherwise: str) -> SettingOrigin:
    return value.origin if value else SettingOrigin(names[0], None, otherwise)


def _require(variables: Sequence[str], noun: str, source: Source, reader: SettingsReader) -> None:
    if reader.first(variables) is None:
        example = "project" if noun == "database" else "backup"
        reader.complain(
            variables[0],
            None,
            f"is not set; {source.name} needs to know its {noun}"
            f" ({source.variables.url_variable} would say it as well)",
            f"{variables[0]}={example}",
        )


def _pg_bin(reader: SettingsReader) -> Path | None:
    sourced = reader.variables.get(PG_BIN)
    if sourced is None:
        return None
    complaint = flaw(sourced.value) or (None if sourced.value.strip() else "is empty")
    if sourced.value.startswith("~"):
        complaint = "begins with ~, which no shell expands here: write the whole path"
    if complaint:
        example = f"{PG_BIN}=/usr/lib/postgresql/18/bin"
        reader.complain(PG_BIN, sourced.source, complaint, example)
        return None
    return Path(sourced.value)


def _libpq_variables(reader: SettingsReader) -> dict[str, str]:
    """Gather libpq's variables of the files; empty ones are not set, for libpq balks at them."""
    values = reader.variables.only_in_files(sorted(LIBPQ))
    for name, value in values.items():
        if complaint := flaw(value.value):
            reader.complain(name, value.source, complaint)
    return {name: value.value for name, value in values.items() if value.value}


def _libpq_origins(connection: Connection, variables: Variables) -> dict[str, str]:
    """Map each of libpq's variables that the connection does not set itself to its place."""
    overruled = _SET_BY_US | {
        variable
        for variable, ours in (("PGUSER", connection.user), ("PGPASSWORD", connection.password))
        if ours is not None
    }
    values = {name: variables.get(name) for name in sorted(LIBPQ - overruled)}
    return {name: value.source for name, value in values.items() if value and value.value}


def _warnings(source: Source, connection: Connection, variables: Variables) -> Iterator[str]:
    origin = connection.origins["host"]
    here = _THIS_MACHINE.intersection(_servers(connection))
    if source.name == PROD and here and not source.on_this_machine:
        yield (
            f"Production is on this machine, {min(here)}. Is that the server you mean? See {origin}"
            f". If it is, say so once in pgvow.toml: [environments.{PROD}] on_this_machine = true"
        )
    if origin.variable == source.variables.url_variable and origin.source is None:
        yield (
            f"{source.variables.url_variable} names no host, so {DEFAULT_HOST} it is;"
            " for a socket write postgresql:///name?host=/var/run/postgresql"
        )
    address = variables.get("PGHOSTADDR")
    if address and address.value and "hostaddr" not in connection.params:
        yield (
            f"PGHOSTADDR is set in {address.source}: libpq connects to that address,"
            f" whatever the host is ({connection.host})"
        )
    yield from _hollow(source, connection, variables)


def _readable(connection: Connection, variables: Variables, directory: Path) -> Iterator[str]:
    """Warn of settings files with a password in them that others may read."""
    secrets = set(SECRET_VARIABLES)
    if origin := connection.origins.get("password"):
        secrets.add(origin.variable)
    for name in FILES:
        path = directory / name
        if variables.file_has_password(name, secrets) and readable_by_others(path):
            yield (
                f"{path} has a password in it, and every user of this machine may read it:"
                f" chmod 600 {shlex.quote(str(path))}"
            )


def _servers(connection: Connection) -> list[str]:
    """Return the hosts of the connection, and the addresses, which libpq prefers to names."""
    addresses = connection.params.get("hostaddr", "").split(",")
    return [server.lower() for server in (*connection.hosts, *addresses)]


def _hollow(source: Source, connection: Connection, variables: Variables) -> Iterator[str]:
    used = (origin.variable for origin in connection.origins.values())
    # A password that came out empty was passed over, and is not among the origins.
    for variable in dict.fromkeys([*used, *source.variables.of("PASSWORD")]):
        sourced = variables.get(variable)
        if sourced and sourced.hollow:
            yield (
                f"{variable} from {sourced.source} may not be what you mean: {HOLLOW};"
                " where ${ itself is meant, write ${:-$}{"
            )


_CONTRACT = {
    "dev": DEVELOPMENT,
    "development": DEVELOPMENT,
    "prod": PRODUCTION,
    "production": PRODUCTION,
}

# Without --env and ENV_MODE the first of these that is set decides.
_SIGNS = {
    DEVELOPMENT.variables.of("NAME")[0]: DEVELOPMENT.name,
    PRODUCTION.variables.of("NAME")[0]: PRODUCTION.name,
    DEVELOPMENT.variables.url_variable: DEVELOPMENT.name,
    PRODUCTION.variables.url_variable: PRODUCTION.name,
}

_EXAMPLE = """a file .env.local in the current directory:

    DEV_DB_HOST=127.0.0.1
    DEV_DB_NAME=project_dev
    DEV_DB_USER=project
    DEV_DB_PASSWORD='secret'
"""


def choose(
    env: str, reader: SettingsReader, environments: Mapping[str, Source]
) -> tuple[Source, str] | None:
    """Choose the source of a run, and return it with the reason; None if that is a problem.

    ``environments`` are the sources of ``pgvow.toml``, which has more than the two of the contract.
    """
    sources = _by_name(environments)
    if env.lower() == AUTO:
        return _detect(reader, sources)
    if source := sources.get(env.lower()):
        return source, "--env"
    reader.complain("--env", None, f"{env!r} is no environment", _known(environments, env))
    return None


def named_environment(
    env: str, environments: Mapping[str, Source] = MappingProxyType({})
) -> str | None:
    """Translate ``--env`` alone: its short name, or None for auto; raises ConfigurationError."""
    if env.lower() == AUTO:
        return None
    if source := _by_name(environments).get(env.lower()):
        return source.name
    problem = Problem("--env", None, f"{env!r} is no environment", _known(environments, env))
    raise ConfigurationError.of([problem])


def detected_environment(
    env: str, variables: Variables, environments: Mapping[str, Source]
) -> str | None:
    """Return the name of a run's source, or None if it is not known; reports no problem."""
    chosen = choose(env, SettingsReader(variables), environments)
    return chosen[0].name if chosen else None


def variables_of(environments: Mapping[str, Source]) -> frozenset[str]:
    """Collect the name of every variable that is read, with those of added environments."""
    return KNOWN.union(OWN, *(source.variables.every for source in environments.values()))


def password_variables(environments: Mapping[str, Source]) -> frozenset[str]:
    """Collect the names of the variables that hold a password."""
    return SECRET_VARIABLES.union(*(own.variables.of("PASSWORD") for own in environments.values()))


def _by_name(environments: Mapping[str, Source]) -> dict[str, Source]:
    own = {name: environments.get(source.name, source) for name, source in _CONTRACT.items()}
    return {**environments, **own}


def _known(environments: Mapping[str, Source], typed: str) -> str:
    names = [DEVELOPMENT.name, PRODUCTION.name]
    names += sorted(environments.keys() - set(names))
    meant = get_close_matches(typed.lower(), [AUTO, *_by_name(environments)], 1)
    return f"{', '.join(names)} or {AUTO}" + (f"; did you mean {meant[0]}?" if meant else "")


def _detect(reader: SettingsReader, sources: Mapping[str, Source]) -> tuple[Source, str] | None:
    mode = reader.variables.get(ENV_MODE)
    if mode is None:
        return _by_signs(reader, sources)
    if source := sources.get(mode.value.lower()):
        return source, f"{ENV_MODE} from {mode.source}"
    quoted = reader.variables.quote(mode)
    complaint = f"{quoted} is no environment" if mode.value else "is empty"
    reader.complain(ENV_MODE, mode.source, complaint, f"{ENV_MODE}=dev or {ENV_MODE}=prod")
    return None


def _by_signs(reader: SettingsReader, sources: Mapping[str, Source]) -> tuple[Source, str] | None:
    for variable, name in _SIGNS.items():
        if value := reader.variables.get(variable):
            return sources[name], f"{variable} is set in {value.source}"
    variables = ", ".join(_SIGNS)
    complaint = (
        f"which database? None of {ENV_MODE}, {variables} is set,"
        " neither in the environment nor in .env.local or .env"
    )
    reader.complain(ENV_MODE, None, complaint, _EXAMPLE.rstrip())
    return None
