"""Which database, as whom, and which variable said so."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pgvow.model import DEV
from pgvow.outside import keep_secret
from pgvow.settings.masking import Masked

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5432
LEFT_TO_LIBPQ = "not set: left to libpq"


@dataclass(frozen=True, slots=True)
class Origin:
    """The variable that set one setting, or would have; without a source it is not set."""

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
    of them with commas. ``port`` is the (first) host's; where the hosts' ports differ, libpq's list
    of them is ``params["port"]``. ``params`` are further parameters of a URL, ``sslmode`` and such,
    never a secret. A ``user`` or ``password`` of None is left to libpq.
    """

    host: str
    port: int
    dbname: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    params: Mapping[str, str] = field(default_factory=Masked)
    environment: str = DEV
    origins: Mapping[str, Origin] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", Masked(self.params))
        keep_secret(self.password, public=(self.host, self.dbname, self.user))

    @property
    def ports(self) -> str:
        """The port, or libpq's list of ports where the hosts' differ."""
        return self.params.get("port", str(self.port))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Each host by itself."""
        return tuple(self.host.split(","))

    @property
    def is_local(self) -> bool:
        """Whether no network lies between: every host is a socket, ``localhost`` or a loopback.

        Where there are addresses beside the names, libpq connects to those.
        """
        addresses = self.params.get("hostaddr")
        return all(_is_here(each) for each in (addresses.split(",") if addresses else self.hosts))

    def parameters(self) -> dict[str, str]:
        """libpq's parameters by keyword, the password apart: fit for a command line."""
        parameters = {**self.params, "host": self.host, "port": self.ports, "dbname": self.dbname}
        return parameters if self.user is None else {**parameters, "user": self.user}

    def facts(self) -> dict[str, str]:
        """What an error message says of the connection; no secrets."""
        return {
            "Host": self.host,
            "Port": self.ports,
            "Database": self.dbname,
            "User": self.user or "libpq's default",
        }

    @property
    def variables(self) -> dict[str, str]:
        """Where to look for each setting: dbname in ``DEV_DB_NAME in .env.local line 2``."""
        return {setting: str(origin) for setting, origin in self.origins.items()}

    def origin(self, setting: str) -> str:
        """Where to look for host, port, dbname, user or password."""
        return self.variables.get(setting, setting)


def _is_here(host: str) -> bool:
    # libpq takes a name that begins with @ for a socket in Linux's abstract namespace.
    if host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback
