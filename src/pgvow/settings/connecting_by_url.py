"""Make a connection of an environment's URL, with what its variables add."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgvow.settings.connection import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    LEFT_TO_LIBPQ,
    Connection,
    Origin,
)
from pgvow.settings.reading import host_flaw, is_port, name_flaw
from pgvow.settings.url import EXAMPLE, UrlError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgvow.settings.reading import Found, Reading
    from pgvow.settings.sources import Sourced
    from pgvow.settings.variables import Block

# What Connection has fields for; the rest of a URL's parameters is handed to libpq as it is.
_FIELDS = ("host", "hostaddr", "port", "dbname", "user", "password")


def connect(block: Block, url: Sourced, reading: Reading) -> Connection | None:
    """Make the connection; None where the reading has problems with it.

    The password variables serve a URL without a password. Of the port variables only the block's
    own serves: ``DB_PORT`` goes with ``DB_HOST``, and not with the host of ``DEV_DATABASE_URL``.
    """
    before = len(reading.problems)
    port = reading.port(block.port[:1])
    password = reading.password(block.password)
    try:
        taken = _Taken(block, url.source, parse(url.value), port, password)
        complaints = list(taken.complaints())
    except UrlError as unusable:
        complaints = [str(unusable)]
    for complaint in complaints:
        reading.complain(block.url, url.source, complaint, f"{block.url}={EXAMPLE}")
    return None if len(reading.problems) > before else taken.connection()


@dataclass(frozen=True, slots=True)
class _Taken:
    """A URL taken apart, and the variables that may add to it."""

    block: Block
    source: str
    parameters: Mapping[str, str] = field(repr=False)
    port: Found | None
    password: Found | None

    @property
    def hosts(self) -> str:
        """The hosts; where only addresses are given, those, for they are connected to."""
        return self.parameters.get("host") or self.parameters.get("hostaddr") or DEFAULT_HOST

    def complaints(self) -> Iterator[str]:
        """Say what is wrong, quoting nothing of the URL, for the reason that ``url`` gives."""
        yield from self._name_complaints("dbname", "database", required=True)
        yield from self._name_complaints("user", "user", required=self.block.user_required)
        flaws = (host_flaw(host) for host in self.hosts.split(","))
        yield from (f"names a host that {flaw}" for flaw in flaws if flaw)
        yield from self._port_complaints()

    def _name_complaints(self, keyword: str, what: str, *, required: bool) -> Iterator[str]:
        name = self.parameters.get(keyword)
        if name is None:
            yield from [f"names no {what}"] * required
        elif flaw := name_flaw(name):
            yield f"names a {what} that {flaw}"

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
            environment=self.block.environment,
            origins=self._origins(),
        )

    def _ports(self) -> list[int]:
        """Fill the gaps in libpq's list of ports; one number where all of them are the same."""
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

    def _origins(self) -> dict[str, Origin]:
        address = "host" if "host" in self.parameters else "hostaddr"
        port = self._origin("port", f"names no port: {DEFAULT_PORT}")
        password = self._origin("password", LEFT_TO_LIBPQ)
        if self.port and "port" not in self.parameters:
            port = self.port.origin
        if "password" not in self.parameters:
            unset = Origin(self.block.password[0], None, LEFT_TO_LIBPQ)
            password = self.password.origin if self.password else unset
        return {
            "host": self._origin(address, f"names no host: {DEFAULT_HOST}"),
            "port": port,
            "dbname": self._origin("dbname", ""),
            "user": self._origin("user", "names no user: left to libpq"),
            "password": password,
        }

    def _origin(self, keyword: str, otherwise: str) -> Origin:
        source = self.source if keyword in self.parameters else None
        return Origin(self.block.url, source, otherwise)
