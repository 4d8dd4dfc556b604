"""Which environment, and which source of a variable counts."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ConfigurationError
from pgvow.settings import Variables, named_environment

if TYPE_CHECKING:
    from tests.support.settings_files import SettingsFolder

BOTH = "DEV_DB_NAME=d\nDB_NAME=p\nDB_USER=u\nDB_HOST=h\n"
DEV_URL = "DEV_DATABASE_URL=postgresql://u@h/d\n"
SECRET = "hunter2"
PROD_URL = "DATABASE_URL=postgresql://u@h/p\n"


@pytest.mark.parametrize("present", list(product([True, False], repeat=3)))
def test_each_key_comes_from_its_first_source(
    folder: SettingsFolder, present: tuple[bool, ...]
) -> None:
    """The environment, then ``.env.local``, then ``.env``, each key by itself."""
    in_environment, in_local, in_shared = present
    folder.local(f"# local\n{'KEY=local' if in_local else ''}\nOTHER=x\n")
    folder.shared("KEY=shared\n" if in_shared else "")
    folder.exported(**({"KEY": "exported"} if in_environment else {}))
    candidates = [("exported", "the environment")] * in_environment
    candidates += [("local", ".env.local line 2")] * in_local
    candidates += [("shared", ".env line 1")] * in_shared

    sourced = Variables.read(environ=folder.environ, directory=folder.folder).get("KEY")

    assert (candidates[0] if candidates else None) == (
        (sourced.value, sourced.source) if sourced else None
    )


def test_a_connection_may_be_gathered_from_all_three(folder: SettingsFolder) -> None:
    """Host, name and password of one connection may stand in three places."""
    folder.shared("DB_NAME=shared\nDB_USER=shared\nDB_HOST=shared\n")
    folder.local("DB_USER=local\nDB_HOST=local\n").exported(DB_HOST="exported")

    settings = folder.load("prod")

    assert ("exported", "local", "shared") == (
        settings.connection.host,
        settings.connection.user,
        settings.connection.dbname,
    )
    assert {
        "host": "DB_HOST from the environment",
        "port": "DB_PORT (not set: 5432)",
        "dbname": "DB_NAME from .env line 1",
        "user": "DB_USER from .env.local line 1",
        "password": "DB_PASSWORD (not set: left to libpq)",
    } == settings.origins


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        *((word, "dev") for word in ("dev", "development", "DEV", "Development")),
        *((word, "prod") for word in ("prod", "production", "PROD", "Production")),
    ],
)
def test_env_option_decides_first(folder: SettingsFolder, env: str, expected: str) -> None:
    """``--env`` counts before everything, in any case, with its synonyms."""
    folder.local(BOTH).exported(ENV_MODE="dev" if expected == "prod" else "prod")

    settings = folder.load(env)

    assert (expected, "--env") == (settings.environment, settings.environment_reason)


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_env_option_overrides_an_invalid_env_mode(folder: SettingsFolder, env: str) -> None:
    """An ENV_MODE that makes no sense does not matter to who says ``--env``."""
    assert env == folder.local(f"ENV_MODE=nonsense\n{BOTH}").load(env).environment


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        *((word, "dev") for word in ("dev", "development", "DEV", "DevelopMent")),
        *((word, "prod") for word in ("prod", "production", "PROD", "ProductioN")),
    ],
)
@pytest.mark.parametrize("env", ["auto", "AUTO"])
def test_env_mode_decides_without_the_option(
    folder: SettingsFolder, env: str, mode: str, expected: str
) -> None:
    """ENV_MODE decides where ``--env`` is auto, in any case, with its synonyms."""
    settings = folder.local(f"{BOTH}ENV_MODE={mode}\n").load(env)

    assert expected == settings.environment
    assert settings.environment_reason == "ENV_MODE from .env.local line 5"


@pytest.mark.parametrize(
    ("text", "expected", "variable"),
    [
        (BOTH, "dev", "DEV_DB_NAME"),
        ("DB_NAME=p\nDB_USER=u\n", "prod", "DB_NAME"),
        ("DB_NAME=p\nDB_USER=u\n" + DEV_URL, "prod", "DB_NAME"),
        ("DEV_DB_NAME=d\n" + PROD_URL, "dev", "DEV_DB_NAME"),
        (DEV_URL + PROD_URL, "dev", "DEV_DATABASE_URL"),
        (PROD_URL, "prod", "DATABASE_URL"),
    ],
)
def test_set_variables_decide_without_env_mode(
    folder: SettingsFolder, text: str, expected: str, variable: str
) -> None:
    """DEV_DB_NAME, DB_NAME, DEV_DATABASE_URL, DATABASE_URL, in this order."""
    settings = folder.local(text).load()

    assert expected == settings.environment
    assert settings.environment_reason.startswith(f"{variable} is set in .env.local line ")


def test_nothing_set_is_an_error_with_an_example(folder: SettingsFolder) -> None:
    """If nothing names a database, the error shows a .env.local."""
    error = folder.shared("DB_HOST=h\nDB_PASSWORD=hunter2\n").refused()

    assert 2 == error.exit_code
    (problem,) = error.problems
    assert "DEV_DB_NAME, DB_NAME, DEV_DATABASE_URL, DATABASE_URL" in problem.complaint
    assert "\n    DEV_DB_NAME=project_dev\n" in error.cause
    assert "hunter2" not in error.cause


@pytest.mark.parametrize(
    ("mode", "complaint"),
    [
        ("staging", "'staging' is no environment"),
        ("auto", "'auto' is no environment"),
        ("' dev'", "' dev' is no environment"),
        ("", "is empty"),
    ],
)
def test_an_unknown_env_mode_is_quoted_not_guessed(
    folder: SettingsFolder, mode: str, complaint: str
) -> None:
    """An unknown ENV_MODE is an error, even if set variables would decide."""
    folder.local(f"{BOTH}ENV_MODE={mode}\n")

    assert [f"ENV_MODE (.env.local line 5): {complaint}"] == folder.complaints()


@pytest.mark.parametrize("env", ["staging", "", "dev ", "prod\n", "hunter"])
def test_an_unknown_option_is_quoted(folder: SettingsFolder, env: str) -> None:
    """Whatever else stands behind ``--env`` is an error that quotes it."""
    assert [f"--env (None): {env!r} is no environment"] == folder.local(BOTH).complaints(env)


@pytest.mark.parametrize(
    ("variable", "env", "reason"),
    [("DEV_DB_NAME", "auto", "dev"), ("DB_NAME", "auto", "prod")],
)
def test_an_empty_name_decides_and_is_a_problem(
    folder: SettingsFolder, variable: str, env: str, reason: str
) -> None:
    """Set means present: an empty name is reported, not passed over for another."""
    folder.shared(f"{variable}=\nDEV_DATABASE_URL=\n")

    complaints = folder.complaints(env)

    assert f"{variable} (.env line 1): is empty" in complaints


def test_an_interpolated_value_with_a_password_is_not_quoted(
    folder: SettingsFolder,
) -> None:
    """A ``${…}`` may bring a password anywhere: then the message says no more than "its value"."""
    folder.local("DB_PASSWORD=hunter2\nENV_MODE=x${DB_PASSWORD}\n")

    assert ["ENV_MODE (.env.local line 2): its value is no environment"] == folder.complaints()


@pytest.mark.parametrize("value", [f"postgresql://u:{SECRET}@h/d", f"u:{SECRET}@h"])
@pytest.mark.parametrize("variable", ["ENV_MODE", "DEV_DB_PORT"])
def test_a_url_in_the_wrong_place_is_not_quoted(
    folder: SettingsFolder, variable: str, value: str
) -> None:
    """A URL in another variable's place is not quoted: it may hold the password."""
    error = folder.local(f"{BOTH}{variable}={value}\n").refused()

    assert SECRET not in error.cause
    assert f"{variable} (from .env.local line 5): its value is no" in error.cause


def test_an_interpolated_value_without_a_password_is_quoted(folder: SettingsFolder) -> None:
    """A value put together of harmless pieces is quoted like any other."""
    folder.exported(STAGE="staging", DB_PASSWORD="hunter2").local("ENV_MODE=${STAGE}\n")

    assert ["ENV_MODE (.env.local line 1): 'staging' is no environment"] == folder.complaints()


def test_a_value_that_contains_a_short_password_is_quoted(folder: SettingsFolder) -> None:
    """A value typed as it stands is quoted, though some password be a part of it."""
    folder.local("DB_PASSWORD=dev\nENV_MODE=devel\n")

    assert ["ENV_MODE (.env.local line 2): 'devel' is no environment"] == folder.complaints()


@pytest.mark.parametrize(
    ("env", "expected"),
    [("auto", None), ("AUTO", None), ("Development", "dev"), ("prod", "prod")],
)
def test_env_synonyms_are_resolved_without_settings(env: str, expected: str | None) -> None:
    """If no database is needed ``--env`` has the same meaning as elsewhere."""
    assert expected == named_environment(env)


def test_an_unknown_env_option_is_an_error_without_settings() -> None:
    """There, too, an unknown environment is an error that quotes it."""
    with pytest.raises(ConfigurationError, match="'staging' is no environment"):
        named_environment("staging")


def test_an_environment_that_does_not_exist_is_answered_with_the_one_meant() -> None:
    """The nearest name is suggested, the long ones of the contract and added ones too."""
    with pytest.raises(ConfigurationError) as caught:
        named_environment("porduction")
    assert "did you mean production?" in caught.value.cause
    with pytest.raises(ConfigurationError) as caught:
        named_environment("zzz")
    assert "did you mean" not in caught.value.cause
