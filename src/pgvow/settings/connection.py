"""One database and the way to it, read from variables; problems are collected, not raised."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pgvow.errors import Problem
from pgvow.model import DEV
from pgvow.quoted_texts import keep_secret
from pgvow.settings.variables import Masked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pgvow.settings.env_files import Variables, VariableValue

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5432
LEFT_TO_LIBPQ = "not set: left to libpq"

MAX_NAME_BYTES = 63
"""NAMEDATALEN - 1: the server cuts longer names, and would look for another database."""

HOLLOW = "its ${…} refers to a variable that is not set"
"""The reason why a value is shorter than the user thinks."""

_PORT = re.compile(r"[0-9]{1,5}")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """The variable that sets one setting of a connection; without a source it is not set."""

    variable: str
    source: str | None
    otherwise: str = ""

    @property
    def set_by(self) -> str:
        """For a table of settings: ``DEV_DB_NAME from .env.local line 2``."""
        return f"{self.variable} from {self.source}" if self.source else str(self)

    def __str__(self) -> str:
        """For a hint: ``DEV_DB_NAME in .env.local line 2``."""
        if self.source:
            return f"{self.variable} in {self.source}"
        return f"{self.variable} ({self.otherwise})"


@dataclass(frozen=True, slots=True)
class Connection:
    """One database and the way to it. The password is never shown.

    ``host`` is libpq's: a name, an address, a socket directory that begins with ``/``, or several
    of them with commas. ``port`` is the (first) host's; if the hosts' ports differ, libpq's list of
    them is ``params["port"]``. ``params`` are further parameters of a URL, ``sslmode`` and such,
    never a secret. A ``user`` or ``password`` of None is left to libpq.
    """

    host: str
    port: int
    dbname: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    params: Mapping[str, str] = field(default_factory=Masked)
    environment: str = DEV
    origins: Mapping[str, SettingOrigin] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", Masked(self.params))
        keep_secret(self.password, public=(self.host, self.dbname, self.user))

    @property
    def ports(self) -> str:
        """The port, or libpq's list of ports if the hosts' differ."""
        return self.params.get("port", str(self.port))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Each host by itself."""
        return tuple(self.host.split(","))

    @property
    def is_local(self) -> bool:
        """Whether no network lies between: every host is a socket, ``localhost`` or a loopback.

        If there are addresses beside the names, libpq connects to those.
        """
        addresses = self.params.get("hostaddr")
        return all(_is_here(each) for each in (addresses.split(",") if addresses else self.hosts))

    def parameters(self) -> dict[str, str]:
        """Return libpq's parameters by keyword without the password, for a command line."""
        parameters = {**self.params, "host": self.host, "port": self.ports, "dbname": self.dbname}
        return parameters if self.user is None else {**parameters, "user": self.user}

    def facts(self) -> dict[str, str]:
        """Return the facts of the connection for an error; no secrets."""
        return {
            "Host": self.host,
            "Port": self.ports,
            "Database": self.dbname,
            "User": self.user or "libpq's default",
        }

    def origin(self, setting: str) -> str:
        """Return the place of host, port, dbname, user or password, for a hint."""
        return str(self.origins.get(setting, setting))


def _is_here(host: str) -> bool:
    # libpq takes a name that begins with @ for a socket in Linux's abstract namespace.
    if host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback


def is_port(text: str) -> bool:
    """Return whether the text is a decimal number from 1 to 65535."""
    return _PORT.fullmatch(text) is not None and 1 <= int(text) <= _MAX_PORT


def flaw(value: str) -> str | None:
    """Return why a value cannot be handed to libpq at all."""
    if "\0" in value:
        return "contains a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def name_flaw(value: str) -> str | None:
    """Return why a value cannot be the name of a database or a user."""
    if complaint := _blank(value) or flaw(value):
        return complaint
    if "://" in value:
        return "is a URL, where a name belongs"
    size = len(value.encode())
    if size > MAX_NAME_BYTES:
        return f"has {size} bytes; PostgreSQL's names have {MAX_NAME_BYTES} at most"
    return None


def host_flaw(value: str) -> str | None:
    """Return why a value cannot be a host, an address or a socket directory."""
    if complaint := _blank(value) or flaw(value):
        return complaint
    return "is a URL, where a host's name belongs" if "://" in value else None


def _blank(value: str) -> str | None:
    if not value:
        return "is empty"
    return None if value.strip() else "is only white space"


@dataclass(frozen=True, slots=True)
class CheckedValue:
    """A value that passed its checks, and its origin."""

    value: str = field(repr=False)
    origin: SettingOrigin


class SettingsReader:
    """Reads single settings, and collects all the problems with them.

    Each method takes variables, of which the first that is set counts. It returns None if none is
    set, and if the value is unusable, which is then among the problems.
    """

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.problems: list[Problem] = variables.problems

    def first(self, names: Sequence[str]) -> tuple[str, VariableValue] | None:
        """Find the first variable that is set, even if it is empty."""
        values = ((name, self.variables.get(name)) for name in names)
        return next(((name, value) for name, value in values if value), None)

    def complain(
        self, variable: str, source: str | None, complaint: str, example: str | None = None
    ) -> None:
        """Add a problem."""
        self.problems.append(Problem(variable, source, complaint, example))

    def host(self, names: Sequence[str]) -> CheckedValue | None:
        """Read a host."""
        example = "127.0.0.1, or a socket directory such as /var/run/postgresql"
        return self._checked(names, host_flaw, f"{names[0]}={example}")

    def dbname(self, names: Sequence[str]) -> CheckedValue | None:
        """Read a database's name."""
        return self._checked(names, name_flaw, f"{names[0]}=project")

    def user(self, names: Sequence[str]) -> CheckedValue | None:
        """Read a user's name."""
        return self._checked(names, name_flaw, f"{names[0]}=backup")

    def port(self, names: Sequence[str]) -> CheckedValue | None:
        """Read a port."""
        first = self.first(names)
        if first is None or is_port(first[1].value):
            return _passed(first)
        name, value = first
        complaint = _blank(value.value) or (
            f"{self.variables.quote(value)} is not a port, a whole number from 1 to 65535"
        )
        self.complain(name, value.source, complaint + _because(value), f"{name}=5432")
        return None

    def password(self, names: Sequence[str]) -> CheckedValue | None:
        """Read a password; an empty one counts as not set, for templates leave it so."""
        first = self.first(
            [name for name in names if (own := self.variables.get(name)) and own.value]
        )
        if first and (complaint := flaw(first[1].value)):
            self.complain(first[0], first[1].source, complaint)
            return None
        return _passed(first)

    def _checked(
        self, names: Sequence[str], check: Callable[[str], str | None], example: str
    ) -> CheckedValue | None:
        first = self.first(names)
        if first and (complaint := check(first[1].value)):
            self.complain(first[0], first[1].source, complaint + _because(first[1]), example)
            return None
        return _passed(first)


def _because(value: VariableValue) -> str:
    return f", for {HOLLOW}" if value.hollow else ""


def _passed(first: tuple[str, VariableValue] | None) -> CheckedValue | None:
    if first is None:
        return None
    name, value = first
    return CheckedValue(value.value, SettingOrigin(name, value.source))
