"""A rescue that is interrupted or killed leaves nothing under the final name, and no files."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import children, restore_and_die
from tests.support.cases import load_case
from tests.support.commands import clean_environment, settings_for
from tests.support.inprocess import back_up
from tests.support.restoring import databases, restore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

# While the rows are loaded piece by piece, and at the beginning and the end of the whole.
_STEPS = ("after:^SAVEPOINT pgvow_rows", "after:^RELEASE SAVEPOINT pgvow_rows", "phase:comparing")


@pytest.mark.majors(18)
@pytest.mark.parametrize("step", _STEPS)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_stands_under_the_final_name(
    step: str, signum: signal.Signals, server: TestServer, tmp_path: Path
) -> None:
    """Nor is a file left; the next rescue clears away the rest, and is whole."""
    name = load_case(server, "rows_that_do_not_fit")
    try:
        dump = back_up(server, name, tmp_path).backup.path
        folder = tmp_path / "here"
        folder.mkdir()
        run = subprocess.run(
            [
                *(sys.executable, restore_and_die.__file__, step, signum.name),
                *("restore", dump, "--to", f"{name}_r", "--rescue"),
            ],
            cwd=folder,
            env={
                **children.environment(),
                **clean_environment(),
                **settings_for(server, "postgres"),
            },
            capture_output=True,
            timeout=120,
            check=False,
        )
        expected = 143 if signum is signal.SIGTERM else -signal.SIGKILL
        assert expected == run.returncode, run.stderr.decode()
        assert f"{name}_r" not in databases(server)
        assert [] == [each for each in folder.iterdir() if each.name != "db"]
        result = restore(server, dump, f"{name}_r", rescue=True, directory=folder)
        assert 1 == len(result.rescue.loosened)
        assert {name, f"{name}_r"} == {each for each in databases(server) if each.startswith(name)}
    finally:
        for each in databases(server):
            if each.startswith(name):
                server.drop_database(each)
