"""A connection URL, taken apart by libpq; no complaint ever quotes a piece of it.

libpq's own messages do quote, and a password that is not percent-encoded can end up as a port, a
host, a database or a parameter's name. So nothing of a URL is shown but what is in lists here.
"""

from __future__ import annotations

import re

from pgvow.settings.masking import SECRET_PARAMETERS

EXAMPLE = "postgresql://user:password@host:5432/name"
_SCHEMES = ("postgresql://", "postgres://")
_WITH_DRIVER = re.compile(r"postgres(?:ql)?\+([a-z0-9_]{1,20})://")
_ENCODE = (
    "in a user name or password, characters such as @ : / ? # % and space must be percent-encoded"
    " (@ is %40, / is %2F, % is %25)"
)

# What libpq says before it quotes, and what we say instead.
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
    """The URL cannot be used; the message says why, and quotes nothing of it."""


def parse(url: str) -> dict[str, str]:
    """Take a URL apart into libpq's parameters, empty ones left out; raises UrlError."""
    _check_before(url)
    parameters = {key: value for key, value in _by_libpq(url).items() if value}
    # Of hosts without ports libpq says that the ports are ",".
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
        # libpq takes what follows the first @, or the first /, for the host: with a bare @ or / in
        # the password it would look for a host named by the password's rest.
        raise UrlError(f"has a bare @ or / that does not belong there: {_ENCODE}")


def _behind_user(url: str) -> str:
    """What follows user and password: libpq looks for their @ up to the first slash only."""
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
