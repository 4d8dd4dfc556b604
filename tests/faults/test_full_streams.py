"""Standard output or error on a full disk: the exit code is still one of the contract's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A shell for an empty database."""
    return Commands(tmp_path, settings_for(server, database))


def into(full: str, commands: Commands) -> Commands:
    """The same shell, one stream of which takes nothing."""
    prefix = ("sh", "-c", f'exec "$@" {full}/dev/full', "sh")
    return Commands(commands.cwd, commands.variables, prefix)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_an_unwritable_result_exits_1_and_the_backup_is_recorded(
    more: tuple[str, ...], commands: Commands
) -> None:
    """1 and the reason on standard error, no traceback; the backup was made, and is recorded so."""
    done = into(">", commands).run(*more)
    assert done.code == 1
    assert "No space left on device" in done.err
    assert "Traceback" not in done.err
    assert "Exception ignored" not in done.err
    (listed,) = commands.run("--list", "--json").json
    assert listed["status"] == "ok"
    (line,) = (commands.cwd / "db/backups/history.jsonl").read_text().splitlines()
    assert "succeeded" == json.loads(line)["outcome"]


@pytest.mark.parametrize("stdout", [">/dev/full", "| true"])
def test_a_failed_verification_exits_8_without_any_output(stdout: str, commands: Commands) -> None:
    """8, whether or not anybody could read why."""
    dump = commands.cwd / commands.run("--json").json["backup_path"]
    dump.write_bytes(dump.read_bytes()[:-1])
    script = f'set -o pipefail; exec 3>&2; "$@" {stdout} 2>&3'
    shell = Commands(commands.cwd, commands.variables, ("bash", "-c", script, "bash"))
    assert shell.run("--verify", dump).code == 8


def test_an_unwritable_error_keeps_its_exit_code(commands: Commands) -> None:
    """Nobody can read why; the exit code says it all the same."""
    assert into("2>", commands).run(DEV_DB_PASSWORD="wrong").code == 3
