"""pgvow from Python: the same recorded runs as on the command line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import pgvow
from pgvow import api
from pgvow.errors import ConfigurationError, ConnectionFailed
from pgvow.model import Level
from tests.support.commands import Commands, clean_environment, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.progress import Step
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


class Steps:
    """A progress that remembers its calls."""

    def __init__(self) -> None:
        self.phases: set[str] = set()

    def update(self, step: Step) -> None:
        """Remember the phase."""
        self.phases.add(step.phase)

    def warn(self, message: str) -> None:
        """Nothing warns here."""
        raise AssertionError(message)


@pytest.fixture
def environ(server: TestServer, database: str) -> dict[str, str]:
    """The settings of a database with a table."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    return {**clean_environment(), **settings_for(server, database)}


def test_a_backup_is_made_listed_verified_proven_and_restored(
    server: TestServer, database: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Each function returns the operation's own result, and its run is in the history."""
    (tmp_path / "pgvow.toml").write_text('[backup]\ncompress = "zstd:1"\n')

    def context(steps: Steps | None = None) -> pgvow.Context:
        return pgvow.open_context(tmp_path, environ=environ, progress=steps)

    steps = Steps()
    made = pgvow.backup(context(steps))
    assert {"orders": 500} == {
        name.removeprefix("public."): rows for name, rows in made.metadata.table_counts.items()
    }
    assert {"lock", "integrity"} <= steps.phases
    assert made.backup.path.is_relative_to(tmp_path)
    assert [made.backup.path] == [backup.path for backup in pgvow.list(context())]
    assert pgvow.verify(context(), made.backup.path, deep=True).passed
    assert pgvow.prove(context(), made.backup.path).proven
    (listed,) = pgvow.list(context(), "dev")
    assert Level.PROVEN == listed.level
    other = f"{database}_api"
    try:
        restored = pgvow.restore(context(), made.backup.path, other)
        assert restored.comparison is not None
        assert restored.comparison.equal
        with server.connect(other) as session:
            assert (500,) == session.execute("SELECT count(*) FROM orders").fetchone()
    finally:
        server.drop_database(other)
    history = Commands(tmp_path, environ).pgvow("history", "--json").json
    assert ["restore", "prove", "verify", "backup"] == [run["operation"] for run in history]
    assert {"succeeded"} == {run["outcome"] for run in history}


def test_an_error_is_raised_and_recorded(environ: dict[str, str], tmp_path: Path) -> None:
    """An error is one of pgvow's own, with its exit code, and the run has failed."""
    lost = {**environ, "DEV_DB_PORT": "1"}
    with pytest.raises(ConnectionFailed) as caught:
        pgvow.backup(pgvow.open_context(tmp_path, environ=lost))
    assert 3 == caught.value.exit_code
    (run,) = Commands(tmp_path, environ).pgvow("history", "--json").json
    assert ("failed", 3) == (run["outcome"], run["exit_code"])
    with pytest.raises(ConfigurationError):
        pgvow.list(pgvow.open_context(tmp_path, environ=environ), "nothing")


def test_the_options_of_a_backup_are_those_of_the_settings(tmp_path: Path) -> None:
    """``backup_options`` reads pgvow.toml, that of the environment before the general one."""
    (tmp_path / "pgvow.toml").write_text(
        'output_dir = "there"\n[backup]\njobs = 3\nspace_factor = 1.5\n'
        "[environments.prod.backup]\njobs = 1\n"
    )
    context = pgvow.open_context(tmp_path, environ={})
    options = pgvow.backup_options(context)
    assert (3, True, 1.5) == (options.dump.jobs, options.dump.parallel, options.space_factor)
    assert tmp_path / "there" == options.output_dir
    assert not pgvow.backup_options(context, "prod").dump.parallel


def test_the_package_offers_all_of_the_api() -> None:
    """The two lists of names are one: nothing of the API is missing in the package."""
    assert sorted(api.__all__) == sorted(pgvow.__all__)
    assert all(getattr(pgvow, name) is getattr(api, name) for name in api.__all__)


def test_importing_pgvow_loads_no_function() -> None:
    """``import pgvow`` is as quick as ever: the functions are loaded when they are used."""
    code = "import sys, pgvow; print('pgvow.api' in sys.modules, 'psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False False" == done.stdout.strip()
