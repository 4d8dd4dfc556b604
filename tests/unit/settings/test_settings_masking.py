"""Secrets are in no repr, no text and no traceback."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

from pgvow.errors import ConfigurationError
from pgvow.settings import Connection, VariableValue
from pgvow.settings.variables import SECRET_PARAMETERS, SECRET_VARIABLES, Masked

if TYPE_CHECKING:
    from tests.support.settings_files import SettingsFolder

SECRET = "hunter2"


def test_settings_show_no_password(folder: SettingsFolder) -> None:
    """Neither ``repr`` nor ``str`` of settings or connection has a password of any source."""
    folder.local(f"DEV_DB_NAME=d\nDEV_DB_PASSWORD={SECRET}\nPGPASSWORD={SECRET}\n")

    settings = folder.load()

    assert (SECRET, SECRET) == (
        settings.connection.password,
        settings.libpq_variables["PGPASSWORD"],
    )
    for thing in (settings, settings.connection, settings.libpq_variables, settings.origins):
        assert SECRET not in f"{thing!r}{thing!s}{[thing]}"
    assert "'PGPASSWORD': ***" in repr(settings)


@pytest.mark.parametrize("key", sorted(SECRET_PARAMETERS))
def test_secret_parameters_are_masked(key: str) -> None:
    """A connection made by hand, with a secret among its parameters, does not show it either."""
    connection = Connection("h", 1, "d", "u", SECRET, {key: SECRET, "sslmode": "require"})

    assert SECRET == connection.params[key]
    assert SECRET not in repr(connection)
    assert "'sslmode': 'require'" in repr(connection)


def test_repr_of_a_value_shows_its_source_only() -> None:
    """A value on its way does not know whether it is secret, so it is never shown."""
    assert "VariableValue(source='.env line 3'" in repr(VariableValue(SECRET, ".env line 3"))
    assert SECRET not in repr(VariableValue(SECRET, ".env line 3"))


def test_a_traceback_shows_no_url(folder: SettingsFolder) -> None:
    """Even with all causes printed, as PGVOW_DEBUG does: libpq's message quotes the password."""
    folder.exported(DATABASE_URL=f"postgresql://u:{SECRET}%zz@h/d")

    with pytest.raises(ConfigurationError) as caught:
        folder.load()

    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_masked_mapping_compares_copies_and_pickles() -> None:
    """It compares, copies and pickles like any other, and cannot be changed."""
    masked = Masked({"a": "b", "PGPASSWORD": SECRET})

    assert {"a": "b", "PGPASSWORD": SECRET} == masked == dict(masked)
    assert masked == copy.deepcopy(masked) == pickle.loads(pickle.dumps(masked))  # noqa: S301
    assert (2, True, False) == (len(masked), "a" in masked, "c" in masked)
    assert not hasattr(masked, "__setitem__")
    assert {"DEV_DB_PASSWORD", "DB_PASSWORD", "PGPASSWORD"} == SECRET_VARIABLES


def test_a_connection_does_not_follow_changes_of_its_mapping() -> None:
    """Changing the mapping that a connection was made of changes no connection."""
    params = {"sslmode": "require"}
    connection = Connection("h", 1, "d", params=params)

    params["sslmode"] = "disable"

    assert "require" == connection.params["sslmode"]
