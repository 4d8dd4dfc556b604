"""Make a connection of a URL, which libpq takes apart; no complaint ever quotes a piece of it.

libpq's own messages do quote, and a password that is not percent-encoded can end up as a port, a
host, a database or a parameter's name. So only words in the lists here are shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow.settings.connection import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    LEFT_TO_LIBPQ,
    Connection,
    SettingOrigin,
    host_flaw,
    is_port,
    name_flaw,
)
from pgvow.settings.variables import SECRET_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.settings.configuration import Source
    from pgvow.settings.connection import CheckedValue, SettingsReader
    from pgvow.settings.env_files import VariableValue

EXAMPLE = "postgresql://user:password@host:5432/name"
_SCHEMES = ("postgresql://", "postgres://")
_WITH_DRIVER = re.compile(r"postgres(?:ql)?\+([a-z0-9_]{1,20})://")
_ENCODE = (
    "in a user name or password, characters such as @ : / ? # % and space must be percent-encoded"
    " (@ is %40, / is %2F, % is %25)"
)

# The beginnings of libpq's messages, up to their quotations, and our replacements.
_REASONS = (
    ("invalid percent-encoded token", f"has a % that begins no escape: {_ENCODE}"),
    ("forbidden value %00", "contains %00, which PostgreSQL has no use for"),
    ("unexpected spaces", f"contains a space: {_ENCODE}"),
    ("end of string reached when looking for matching", "has a [ without its ]"),
    ("unexpected character", "has something other than : or / behind the ] of its address"),
    ("missing key/value separator", "has a parameter without = behind the ?"),
    ("extra key/value separator", "has a parameter with two = behind the ?"),
    ("IPv6 host address may not be empty", "has nothing between [ and ]"),
)

# Parameters that other libraries put on their URLs: named here, so that they can be shown.
_FOREIGN = re.compile(
    r"[?&](schema|pgbouncer|connection_limit|pool_timeout|pool_size|socket_timeout|sslaccept|sslidentity"
    r"|statement_cache_size|prepared_statements|currentSchema|loginTimeout|sslfactory|encoding"
    r"|charset|serverVersion|prepareThreshold|uselibpqcompat)="
)


class UrlError(ValueError):
    """The URL cannot be used; the message has the reason, and quotes nothing of it."""


def parse_url(url: str) -> dict[str, str]:
    """Take a URL apart into libpq's parameters, empty ones left out; raises UrlError."""
    _check_before(url)
    parameters = {key: value for key, value in _by_libpq(url).items() if value}
    # For hosts without ports libpq returns "," as the ports.
    if not parameters.get("port", "").strip(","):
        parameters.pop("port", None)
    _check_after(parameters)
    return parameters


def _check_before(url: str) -> None:
    if not url.strip():
        raise UrlError("is empty" if not url else "is only white space")
    if "\0" in url:
        raise UrlError("contains a NUL character")
    if driver := _WITH_DRIVER.match(url):
        raise UrlError(f"is SQLAlchemy's kind of URL: drop the +{driver[1]} before ://")
    if not url.startswith(_SCHEMES):
        raise UrlError("does not begin with postgresql:// or postgres://")
    if "@" in _behind_user(url):
        # libpq takes the text behind the first @ or / for the host: with a bare one in the password
        # it would look for a host named by the password's rest.
        raise UrlError(f"has a bare @ or / that does not belong there: {_ENCODE}")


def _behind_user(url: str) -> str:
    """Return the part behind user and password; libpq ends both at a slash."""
    rest = url.partition("://")[2]
    user, at, behind = rest.partition("@")
    return behind if at and "/" not in user else rest


def _by_libpq(url: str) -> dict[str, str]:
    # Imported here: psycopg loads libpq, which takes longer than all the rest of the settings.
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        return {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except psycopg.Error as error:
        # `from None`, here and below: a traceback would show libpq's message, which quotes.
        raise UrlError(_reason(str(error), url)) from None
    except UnicodeError:
        raise UrlError("is not UTF-8 once its %-escapes are decoded") from None


def _reason(message: str, url: str) -> str:
    if message.startswith("invalid URI query parameter"):
        if foreign := _FOREIGN.search(url):
            return f"has the parameter {foreign[1]}, which is another library's: remove it"
        return "has a parameter behind the ? that libpq does not know"
    for begins, reason in _REASONS:
        if message.startswith(begins):
            return reason
    return f"is not a URL that libpq understands; {_ENCODE}"


def _check_after(parameters: dict[str, str]) -> None:
    secrets = sorted(SECRET_PARAMETERS.intersection(parameters) - {"password"})
    if secrets:
        raise UrlError(
            f"carries {', '.join(secrets)}: that is not supported on a URL, because it would have"
            " to stand on the command lines of pg_dump and pg_restore, where everybody can read it"
        )
    if "service" in parameters:
        raise UrlError(
            "takes its server from a service file: name host and database in the URL itself, and"
            " the service in PGSERVICE for the rest"
        )


# The fields of Connection; a URL's other parameters are handed to libpq as they are.
_FIELDS = ("host", "hostaddr", "port", "dbname", "user", "password")


def connect_by_url(source: Source, url: VariableValue, reader: SettingsReader) -> Connection | None:
    """Make a connection of a source's URL; None if the reader has problems with it.

    The password variables serve a URL without a password. Of the port variables only the source's
    own serves: ``DB_PORT`` goes with ``DB_HOST``, and not with the host of ``DEV_DATABASE_URL``.
    """
    before = len(reader.problems)
    names = source.variables
    port = reader.port(names.of("PORT")[:1])
    password = reader.password(names.of("PASSWORD"))
    try:
        parts = _UrlParts(source, url.source, parse_url(url.value), port, password)
        complaints = list(parts.complaints())
    except UrlError as unusable:
        complaints = [str(unusable)]
    for complaint in complaints:
        variable = names.url_variable
        reader.complain(variable, url.source, complaint, f"{variable}={EXAMPLE}")
    return None if len(reader.problems) > before else parts.connection()


@dataclass(frozen=True, slots=True)
class _UrlParts:
    """The parameters of a URL, its place, and the variables that may add to it."""

    source: Source
    place: str
    parameters: Mapping[str, str] = field(repr=False)
    port: CheckedValue | None
    password: CheckedValue | None

    @property
    def hosts(self) -> str:
        """The hosts; if only addresses are given, those, for libpq connects to them."""
        return self.parameters.get("host") or self.parameters.get("hostaddr") or DEFAULT_HOST

    def complaints(self) -> Iterator[str]:
        """Yield all that is wrong, quoting nothing of the URL, for the reason given above."""
        yield from self._name_complaints("dbname", "database", required=True)
        yield from self._name_complaints(
            "user", "user", required=self.source.variables.user_required
        )
        flaws = (host_flaw(host) for host in self.hosts.split(","))
        yield from (f"names a host that {flaw}" for flaw in flaws if flaw)
        yield from self._port_complaints()

    def _name_complaints(self, keyword: str, noun: str, *, required: bool) -> Iterator[str]:
        name = self.parameters.get(keyword)
        if name is None:
            yield from [f"names no {noun}"] * required
        elif flaw := name_flaw(name):
            yield f"names a {noun} that {flaw}"

    def _port_complaints(self) -> Iterator[str]:
        ports = self.parameters.get("port", "").split(",")
        hosts = self.hosts.split(",")
        given = [port for port in ports if port]
        if not all(is_port(port) for port in given):
            yield "names a port that is no whole number from 1 to 65535"
        elif len(ports) not in {1, len(hosts)}:
            yield f"names {len(ports)} ports, but {len(hosts)} hosts"
        elif self.port and any(int(port) != int(self.port.value) for port in given):
            yield f"names another port than {self.port.origin.set_by}: keep one or the other"

    def connection(self) -> Connection:
        """Make the connection, once there are no complaints."""
        ports = self._ports()
        return Connection(
            host=self.hosts,
            port=ports[0],
            dbname=self.parameters["dbname"],
            user=self.parameters.get("user"),
            password=self._password(),
            params=self._further(ports),
            environment=self.source.name,
            origins=self._origins(),
        )

    def _ports(self) -> list[int]:
        """Fill the gaps in libpq's list of ports; one number if all of them are the same."""
        default = int(self.port.value) if self.port else DEFAULT_PORT
        listed = self.parameters.get("port", "").split(",")
        ports = [int(port) if port else default for port in listed]
        return ports if len(set(ports)) > 1 else ports[:1]

    def _password(self) -> str | None:
        fallback = self.password.value if self.password else None
        return self.parameters.get("password", fallback)

    def _further(self, ports: list[int]) -> dict[str, str]:
        further = {key: value for key, value in self.parameters.items() if key not in _FIELDS}
        if "host" in self.parameters and "hostaddr" in self.parameters:
            further["hostaddr"] = self.parameters["hostaddr"]
        if len(ports) > 1:
            further["port"] = ",".join(map(str, ports))
        return further

    def _origins(self) -> dict[str, SettingOrigin]:
        address = "host" if "host" in self.parameters else "hostaddr"
        port = self._origin("port", f"names no port: {DEFAULT_PORT}")
        password = self._origin("password", LEFT_TO_LIBPQ)
        if self.port and "port" not in self.parameters:
            port = self.port.origin
        if "password" not in self.parameters:
            unset = SettingOrigin(self.source.variables.of("PASSWORD")[0], None, LEFT_TO_LIBPQ)
            password = self.password.origin if self.password else unset
        return {
            "host": self._origin(address, f"names no host: {DEFAULT_HOST}"),
            "port": port,
            "dbname": self._origin("dbname", ""),
            "user": self._origin("user", "names no user: left to libpq"),
            "password": password,
        }

    def _origin(self, keyword: str, otherwise: str) -> SettingOrigin:
        place = self.place if keyword in self.parameters else None
        return SettingOrigin(self.source.variables.url_variable, place, otherwise)
