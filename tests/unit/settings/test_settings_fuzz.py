"""Whatever stands in the sources: settings, or one of two errors, and never a password."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pgvow.errors import AccessDenied, ConfigurationError
from pgvow.settings import Settings, load
from pgvow.settings.variables import KNOWN

SECRET = "hunter2"

_NAMES = st.sampled_from(["OTHER", *sorted(name for name in KNOWN if "PASSWORD" not in name)])
_SECRET_NAMES = st.sampled_from(["DEV_DB_PASSWORD", "DB_PASSWORD", "PGPASSWORD"])
_TRICKY = st.sampled_from(
    [
        *("", " ", "dev", "PROD", "staging", "5432", "0", "99999", "a,b", "/run", "localhost", "~"),
        *("'", '"', "${", "${DB_PASSWORD}", "${DB_NAME:-x}", "x" * 64, "ä", "\\", "#", " #", "'a"),
    ]
)
_URL = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["postgresql", "postgres", "postgresql+psycopg", "mysql"]),
    st.sampled_from([f"u:{SECRET}@", f"u:a@{SECRET}@", f"u:{SECRET}/x@", f"u:{SECRET}%z@", "u@"]),
    st.sampled_from(["", "h", "h:1", "h:x", "a,b", "a:1,b:2", "[::1]", "[", "a,,", "%2Ftmp"]),
    st.sampled_from(["", "/", "/d", "/%00", "/%ff", "/a b", "/" + "x" * 64]),
    st.sampled_from(
        ["", "?", "?x", "?sslmode=require", f"?sslpassword={SECRET}", f"?password={SECRET}&a=b"]
    ),
)
_VALUES = st.one_of(_TRICKY, _URL, st.text(max_size=8))
_SECRET_VALUES = st.builds("{}{}{}".format, _TRICKY, st.just(SECRET), _TRICKY)
_PAIRS = st.one_of(st.tuples(_NAMES, _VALUES), st.tuples(_SECRET_NAMES, _SECRET_VALUES))
_ENVIRON = st.lists(_PAIRS, max_size=6).map(dict)
_LINE = st.one_of(
    st.builds("{}={}".format, _NAMES, _VALUES),
    st.builds("{}={}".format, _SECRET_NAMES, _SECRET_VALUES),
    st.builds("{} '{}'".format, _SECRET_NAMES, _SECRET_VALUES),
    _NAMES,
    _TRICKY,
)
_FILES = st.one_of(
    st.none(),
    st.lists(_LINE, max_size=8).map(lambda lines: "\n".join(lines).encode("utf-8", "replace")),
    st.binary(max_size=40),
)
_ENV = st.one_of(st.sampled_from(["auto", "dev", "PROD", "development"]), st.text(max_size=5))


@settings(deadline=None, max_examples=400)
@given(env=_ENV, environ=_ENVIRON, local=_FILES, shared=_FILES)
def test_any_sources_give_settings_or_an_error_without_password(
    env: str, environ: dict[str, str], local: bytes | None, shared: bytes | None
) -> None:
    """Nothing but Settings, ConfigurationError, AccessDenied; nothing secret shown."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ((".env.local", local), (".env", shared)):
            if content is not None:
                (Path(folder) / name).write_bytes(content)
        try:
            loaded = load(env=env, environ=environ, directory=Path(folder))
        except (ConfigurationError, AccessDenied) as error:
            shown = "".join(traceback.format_exception(error))
            shown += f"{error}{error!r}{error.facts}{error.steps}"
            reasons = [error.cause]
        else:
            assert isinstance(loaded, Settings)
            assert 1 <= loaded.connection.port <= 65535
            shown = f"{loaded.warnings}{loaded.environment_reason}{loaded.origins}"
            reasons = [loaded.environment_reason]
    assert all(reasons)
    assert SECRET not in shown
