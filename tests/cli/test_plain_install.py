"""Without extras: backups, pings and hooks work, and notifications say what to install."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands, settings_for
from tests.support.plain_install import PlainInstall
from tests.support.receiver import receiving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)


@pytest.fixture
def shell(server: TestServer, database: str, tmp_path: Path) -> PlainInstall:
    """A user with a database and a plain installation."""
    return PlainInstall(tmp_path, settings_for(server, database))


def complete(shell: PlainInstall) -> Commands:
    """The same user with the extras installed."""
    variables = {name: text for name, text in shell.variables.items() if name != "PYTHONPATH"}
    return Commands(shell.cwd, variables)


def test_nothing_of_the_extra_is_there(shell: PlainInstall) -> None:
    """The folder has no apprise: else the tests below would say nothing."""
    assert 0 != shell._run(["-c", "import apprise"], 60, {}).code
    assert 0 == shell._run(["-c", "import pgvow.cli, psycopg, xxhash, rich"], 60, {}).code


def test_a_backup_needs_no_extra(shell: PlainInstall) -> None:
    """``backup_db.py`` of a clone and ``pgvow`` alike, without a word about what is not used."""
    made = shell.run("--space-factor", "0")
    assert (0, "") == (made.code, made.err)
    verified = shell.pgvow("verify", "--all", "--deep")
    assert (0, "") == (verified.code, verified.err)
    assert 0 == shell.pgvow("config", "check").code
    assert "notifications" not in shell.pgvow("doctor", "--env", "dev").out


def test_ping_and_hooks_need_no_extra(shell: PlainInstall) -> None:
    """The dead-man's switch is pinged, and the hook runs."""
    with receiving() as receiver:
        (shell.cwd / "pgvow.toml").write_text(
            f'[notifications]\nping = "http://127.0.0.1:{receiver.port}/ping"\n'
            f'[hooks]\nafter = ["/usr/bin/touch", "{shell.cwd}/hooked"]\n'
        )
        done = shell.run("--space-factor", "0")
        assert (0, "") == (done.code, done.err)
        assert ["/ping/start", "/ping"] == receiver.pings()
    assert (shell.cwd / "hooked").exists()


def test_notifications_say_what_to_install(shell: PlainInstall) -> None:
    """A run warns once, whatever it does, and is well; check, doctor and test name the extra.

    The message waits, and goes out when apprise is there.
    """
    with receiving() as receiver:
        urls = [f"json://127.0.0.1:{receiver.port}/notify/{number}" for number in range(2)]
        (shell.cwd / "pgvow.toml").write_text(
            f'[notifications]\nurls = {urls}\non = ["success", "failure"]\ntimeout = 60\n'
        )
        done = shell.run("--space-factor", "0")
        assert 0 == done.code
        assert 1 == done.err.count("apprise, which sends them, is not installed")
        install = "-m pip install 'apprise>=1.9'"
        assert install in " ".join(done.err.split())
        check = shell.pgvow("config", "check", "--json")
        assert (2, "pgvow[notify]") == (check.code, check.json["error"]["cause"].split()[-1])
        program, _, rest = check.json["error"]["steps"][0].partition(": ")[2].partition(" ")
        assert "install" == shlex.split(rest)[2], program
        doctor = shell.pgvow("doctor", "--json").json["checks"]
        (finding,) = (each for each in doctor if each["name"] == "notifications")
        assert ("attention", True) == (finding["level"], install in finding["hint"])
        assert 2 == shell.pgvow("notify", "test").code
        assert 2 == shell.pgvow("notify", "--digest").code
        assert [] == receiver.got
        assert 0 == complete(shell).run("--space-factor", "0").code
        assert 4 == len(receiver.messages())  # two successes, to each


def test_apprise_is_loaded_for_urls_alone(shell: PlainInstall) -> None:
    """Where it is installed as well: a run without URLs does not pay the half second."""
    code = (
        "import sys; from pgvow.cli import main; sys.argv[1:] = ['backup', '--quiet'];"
        "code = main(); print('apprise' in sys.modules); sys.exit(code)"
    )
    done = complete(shell)._run(["-c", code], 600, {})
    assert (0, "False\n") == (done.code, done.out)
