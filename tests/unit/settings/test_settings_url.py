"""Connection URLs: parsed as libpq does, refused if invalid, and never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgvow.settings.connection_url import UrlError, _reason, parse_url

if TYPE_CHECKING:
    from tests.support.settings_files import SettingsFolder

SECRET = "hunter2"


def test_a_url_gives_the_whole_connection(folder: SettingsFolder) -> None:
    """Host, port, database, user, password and further parameters come from the URL."""
    folder.local(f"DATABASE_URL=postgresql://me:{SECRET}@db.example:6432/a%20b?sslmode=require\n")

    settings = folder.load()

    connection = settings.connection
    assert ("me", SECRET) == (connection.user, connection.password)
    assert {
        "host": "db.example",
        "port": "6432",
        "dbname": "a b",
        "user": "me",
        "sslmode": "require",
    } == connection.parameters()
    assert {"DATABASE_URL from .env.local line 1"} == set(settings.origins.values())


@pytest.mark.parametrize(
    ("env", "text", "also"),
    [
        ("dev", "DEV_DATABASE_URL=postgresql://h/d\nDEV_DB_NAME=d", "DEV_DB_NAME"),
        ("dev", "DEV_DATABASE_URL=postgresql://h/d\nDEV_DB_HOST=d", "DEV_DB_HOST"),
        ("dev", "DEV_DATABASE_URL=postgresql://h/d\nDEV_DB_USER=d", "DEV_DB_USER"),
        ("prod", "DATABASE_URL=postgresql://u@h/d\nDB_NAME=d", "DB_NAME"),
        ("prod", "DATABASE_URL=postgresql://u@h/d\nDB_HOST=d", "DB_HOST"),
        ("prod", "DATABASE_URL=postgresql://u@h/d\nDB_USER=d", "DB_USER"),
    ],
)
def test_a_url_beside_variables_is_an_error(
    folder: SettingsFolder, env: str, text: str, also: str
) -> None:
    """A URL beside the block's own name, host or user says that both are set, and where."""
    url = text.partition("=")[0]

    complaints = folder.local(text).complaints(env)

    expected = f"is set, and so is {also} from .env.local line 2: keep one or the other"
    assert [f"{url} (.env.local line 1): {expected}"] == complaints


def test_a_url_beside_variables_hides_no_other_problem(folder: SettingsFolder) -> None:
    """Whichever of the two is kept, its own problems are reported in the same run."""
    folder.local("DATABASE_URL=postgresql://u@h\nDB_NAME=\nDB_PORT=x\n")

    problems = folder.refused("prod").problems

    assert ["DATABASE_URL", "DB_PORT", "DATABASE_URL", "DB_NAME"] == [p.variable for p in problems]


@pytest.mark.parametrize(
    ("env", "text", "host"),
    [
        ("dev", "DEV_DATABASE_URL=postgresql://url/d\nDB_NAME=p\nDB_HOST=h\nDB_USER=u", "url"),
        ("dev", "DATABASE_URL=postgresql://url/d\nDEV_DB_NAME=p\nDEV_DB_HOST=h", "h"),
        ("prod", "DATABASE_URL=postgresql://u@url/d\nDEV_DB_NAME=p\nDEV_DB_HOST=h", "url"),
        ("prod", "DEV_DATABASE_URL=postgresql://url/d\nDB_NAME=p\nDB_HOST=h\nDB_USER=u", "h"),
    ],
)
def test_variables_of_the_other_environment_are_ignored(
    folder: SettingsFolder, env: str, text: str, host: str
) -> None:
    """Each environment has a URL and a block of its own."""
    assert host == folder.local(text).load(env).connection.host


@pytest.mark.parametrize(
    ("env", "text", "password", "origin"),
    [
        ("dev", "DEV_DB_PASSWORD=a\nDB_PASSWORD=b", "a", "DEV_DB_PASSWORD from .env line 1"),
        ("dev", "DEV_DB_PASSWORD=\nDB_PASSWORD=b", "b", "DB_PASSWORD from .env line 2"),
        ("dev", "", None, "DEV_DB_PASSWORD (not set: left to libpq)"),
        ("prod", "DB_PASSWORD=b", "b", "DB_PASSWORD from .env line 1"),
        ("prod", "DEV_DB_PASSWORD=a", None, "DB_PASSWORD (not set: left to libpq)"),
    ],
)
@pytest.mark.parametrize("user", ["u", "u:"])
def test_a_url_without_password_takes_the_variables(
    folder: SettingsFolder, env: str, text: str, password: str | None, origin: str, user: str
) -> None:
    """A URL without a password, or with an empty one, takes that of the variables."""
    url = f"postgresql://{user}@db.example/d"
    folder.shared(text).exported(DEV_DATABASE_URL=url, DATABASE_URL=url)

    settings = folder.load(env)

    assert (password, origin) == (settings.connection.password, settings.origins["password"])


def test_the_password_of_the_url_wins(folder: SettingsFolder) -> None:
    """The password variables are only a fallback."""
    folder.local(f"DEV_DATABASE_URL=postgresql://u:{SECRET}@h/d\nDEV_DB_PASSWORD=x\n")

    assert SECRET == folder.load().connection.password


@pytest.mark.parametrize(
    ("env", "variables", "port", "origin"),
    [
        ("dev", {"DEV_DB_PORT": "77"}, 77, "DEV_DB_PORT from the environment"),
        ("dev", {"DB_PORT": "77"}, 5432, "DEV_DATABASE_URL (names no port: 5432)"),
        ("prod", {"DB_PORT": "77"}, 77, "DB_PORT from the environment"),
        ("prod", {}, 5432, "DATABASE_URL (names no port: 5432)"),
    ],
)
def test_a_url_without_port_takes_the_variables(
    folder: SettingsFolder, env: str, variables: dict[str, str], port: int, origin: str
) -> None:
    """The block's own port serves a URL without one; production's does not serve dev's."""
    url = "postgresql://u@db.example/d"
    folder.exported(DEV_DATABASE_URL=url, DATABASE_URL=url, **variables)

    settings = folder.load(env)

    assert (port, origin) == (settings.connection.port, settings.origins["port"])


@pytest.mark.parametrize(
    "authority", ["h:78", "h,g:78", "h:77,g:78", "h:78,g"], ids=["one", "second", "differ", "first"]
)
def test_a_port_that_contradicts_the_url_is_an_error(
    folder: SettingsFolder, authority: str
) -> None:
    """A port variable that contradicts the URL is reported."""
    folder.local(f"DATABASE_URL=postgresql://u@{authority}/d\nDB_PORT=77\n")

    expected = "names another port than DB_PORT from .env.local line 2: keep one or the other"
    assert [f"DATABASE_URL (.env.local line 1): {expected}"] == folder.complaints()


@pytest.mark.parametrize(
    ("authority", "port", "ports"),
    [
        ("a,b", 5432, "5432"),
        ("a:1,b", 1, "1,5432"),
        ("a,b:2,c", 5432, "5432,2,5432"),
        ("a:7,b:7", 7, "7"),
        ("a:1,b:2", 1, "1,2"),
    ],
)
def test_several_hosts_are_passed_to_libpq(
    folder: SettingsFolder, authority: str, port: int, ports: str
) -> None:
    """Several hosts stay libpq's list; ``port`` is the first's, ``parameters`` has all."""
    connection = folder.exported(DATABASE_URL=f"postgresql://u@{authority}/d").load().connection

    hosts = ",".join(part.partition(":")[0] for part in authority.split(","))
    assert (hosts, port, ports) == (connection.host, connection.port, connection.ports)
    assert (hosts, ports) == (connection.parameters()["host"], connection.parameters()["port"])
    assert ports == connection.facts()["Port"]


def test_one_port_applies_to_several_hosts(folder: SettingsFolder) -> None:
    """A single port counts for every host, as it does for libpq; a variable's as well."""
    folder.exported(DATABASE_URL="postgresql://u@/d?host=a,b&port=7")
    assert "7" == folder.load().connection.parameters()["port"]

    folder.exported(DATABASE_URL="postgresql://u@a,b:7/d", DB_PORT="7")
    assert "7" == folder.load().connection.parameters()["port"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/d", "/var/run/postgresql"),
        ("postgresql:///d?host=/run/pg&user=u", "/run/pg"),
        ("postgresql://u@[2001:db8::1]/d", "2001:db8::1"),
        ("postgres://u@db.example/d", "db.example"),
        ("postgresql://u@/d?hostaddr=192.0.2.1", "192.0.2.1"),
    ],
)
def test_sockets_addresses_and_both_schemes_are_parsed(
    folder: SettingsFolder, url: str, host: str
) -> None:
    """Socket directories, addresses and both schemes are understood."""
    settings = folder.exported(DATABASE_URL=url).load()

    assert (host, ()) == (settings.connection.host, settings.warnings)
    assert "hostaddr" not in settings.connection.params


def test_host_and_hostaddr_of_a_url_are_both_kept(folder: SettingsFolder) -> None:
    """Host and hostaddr of a URL go to libpq together: TLS checks the name."""
    folder.exported(DATABASE_URL="postgresql://u@db.example/d?hostaddr=127.0.0.1")

    settings = folder.load()

    assert {"hostaddr": "127.0.0.1"} == settings.connection.params
    assert "Production is on this machine, 127.0.0.1" in settings.warnings[0]


def test_a_url_without_a_host_earns_a_warning(folder: SettingsFolder) -> None:
    """No host means 127.0.0.1, as without a URL; libpq would take a socket, so it is said."""
    settings = folder.exported(DEV_DATABASE_URL="postgresql:///d").load()

    assert "127.0.0.1" == settings.connection.host
    assert "DEV_DATABASE_URL (names no host: 127.0.0.1)" == settings.origins["host"]
    (warning,) = settings.warnings
    assert warning.startswith("DEV_DATABASE_URL names no host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "db.example,LOCALHOST:7"])
def test_production_on_this_machine_by_url_earns_a_warning(
    folder: SettingsFolder, host: str
) -> None:
    """The warning looks at every host of a URL."""
    (warning,) = folder.exported(DATABASE_URL=f"postgresql://u@{host}/d").load().warnings

    assert "See DATABASE_URL in the environment. " in warning


REFUSED = {
    "": "is empty",
    " ": "is only white space",
    "postgresql://u:hunter2@h/d\0": "contains a NUL character",
    "postgresql://u:hunter2\udcff@h/d": "is not UTF-8",
    "postgresql://u:hunter2%ff@h/d": "is not UTF-8",
    "u:hunter2@h/d": "does not begin with postgresql://",
    "mysql://u:hunter2@h/d": "does not begin with postgresql://",
    " postgresql://u:hunter2@h/d": "does not begin with postgresql://",
    "host=h password=hunter2 dbname=d": "does not begin with postgresql://",
    "jdbc:postgresql://h/d?password=hunter2": "does not begin with postgresql://",
    "postgresql+psycopg://u:hunter2@h/d": "drop the +psycopg before ://",
    "postgres+asyncpg://u:hunter2@h/d": "drop the +asyncpg before ://",
    "postgresql://u:hun@ter2@h/d": "has a bare @ or /",
    "postgresql://u:hunter2/x@h/d": "has a bare @ or /",
    "postgresql://u:1/hunter2@h/d": "has a bare @ or /",
    "postgresql://u:1/a?hunter2=x@h/d": "has a bare @ or /",
    "postgresql://u:hunter2%@h/d": "has a % that begins no escape",
    "postgresql://u:hunter2%zz@h/d": "has a % that begins no escape",
    "postgresql://u:hunter2%00@h/d": "contains %00",
    "postgresql://u:hunter2 x@h/d": "contains a space",
    "postgresql://u:hunter2@[::1/d": "has a [ without its ]",
    "postgresql://u:hunter2@[]/d": "has nothing between [ and ]",
    "postgresql://u:hunter2@[::1]x/d": "behind the ] of its address",
    "postgresql://u:hunter2@h/d?x": "has a parameter without =",
    "postgresql://u:hunter2@h/d?sslmode=a=b": "has a parameter with two =",
    "postgresql://u:hunter2@h/d?schema=public": "has the parameter schema, which is another",
    "postgresql://u:hunter2@h/d?hunter2=1": "that libpq does not know",
    "postgresql://u:hunter2@h": "names no database",
    "postgresql://u:hunter2@h/": "names no database",
    "postgresql://u:hunter2@h/%20": "names a database that is only white space",
    "postgresql://u:hunter2@h/" + "x" * 64: "names a database that has 64 bytes",
    "postgresql://h/d?password=hunter2": "names no user",
    "postgresql://" + "u" * 64 + ":hunter2@h/d": "names a user that has 64 bytes",
    "postgresql://u:hunter2@h,/d": "names a host that is empty",
    "postgresql://u:hunter2@h:0/d": "names a port that is no whole number",
    "postgresql://u@h:hunter2/d": "names a port that is no whole number",
    "postgresql://u:hunter2@h,g/d?port=1,2,3": "names 3 ports, but 2 hosts",
    "postgresql://u:hunter2@h/d?sslpassword=x": "carries sslpassword: that is not supported",
    "postgresql://u:x@h/d?oauth_client_secret=hunter2": "carries oauth_client_secret",
    "postgresql://u:x@h/d?scram_client_key=hunter2": "carries scram_client_key",
    "postgresql://u:hunter2@h/d?service=s": "takes its server from a service file",
}


@pytest.mark.parametrize("url", REFUSED)
def test_an_invalid_url_is_a_problem_that_quotes_nothing(folder: SettingsFolder, url: str) -> None:
    """It is a problem that says why, names variable and source, and quotes nothing."""
    error = folder.exported(DATABASE_URL=url).refused()

    (problem,) = error.problems
    assert ("DATABASE_URL", "the environment") == (problem.variable, problem.source)
    assert REFUSED[url] in problem.complaint
    assert "hunter2" not in f"{error}{error!r}{error.facts}{error.steps}"
    assert (None, True) == (error.__cause__, error.__suppress_context__ or not error.__context__)


def test_an_unknown_libpq_message_is_not_quoted() -> None:
    """A libpq of another version or language has other words: the reason stays general."""
    reason = _reason(f"ungültiges Token »{SECRET}%zz«", f"postgresql://u:{SECRET}%zz@h/d")

    assert reason.startswith("is not a URL that libpq understands")
    assert SECRET not in reason


def test_development_needs_no_user(folder: SettingsFolder) -> None:
    """Development's user is libpq's to choose, in a URL as without."""
    settings = folder.exported(DEV_DATABASE_URL="postgresql://h/d").load()

    assert settings.connection.user is None
    assert "DEV_DATABASE_URL (names no user: left to libpq)" == settings.origins["user"]


@given(
    password=st.text(
        st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=8
    )
)
@example("@")
@example("a/b?c=d@e")
@example("1/x?sslmode=")
@example("#%")
def test_an_unencoded_password_never_becomes_another_part(password: str) -> None:
    """A password that should have been percent-encoded is taken whole, decoded, or refused.

    It never ends up as a piece of host, port, database or parameter, where it would be shown.
    """
    # Letters that stand nowhere else in the URL, so that they can be found again.
    marked = f"QQ{password}QQ"
    complaint, parameters = _outcome(f"postgresql://user:{marked}@host/name")

    assert "QQ" not in complaint
    assert "QQ" not in str({k: v for k, v in parameters.items() if k != "password"})
    assert set(parameters) == (set() if complaint else {"user", "password", "host", "dbname"})


def _outcome(url: str) -> tuple[str, dict[str, str]]:
    try:
        return "", parse_url(url)
    except UrlError as error:
        return str(error), {}
