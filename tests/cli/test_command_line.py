"""Interface of people and scripts: help, options, JSON, silence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pgvow import __version__
from pgvow.cli.arguments import EXIT_CODES
from pgvow.cli.parser import build_parser, parse_contract, parse_pgvow
from tests.support import backups
from tests.support.commands import ROOT, Commands, clean_environment, settings_for
from tests.support.servers import programs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeDatabase
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_FACES = {"pgvow": ["-m", "pgvow"], "backup_db.py": [str(ROOT / "backup_db.py")]}
_FILE = "NAME.dump"
# The declarations of options are for --help: the rest of the settings loads libraries.
_NEEDLESS = (
    "psycopg|dotenv|asyncio|rich.progress"
    "|pgvow.(?!cli|errors|signals|settings|model|notes|quoted_texts|formats)"
    "|pgvow.settings.(?!configuration|declared_option|options|values|variables)"
)
_CONTRACT_MODE = {"backup": [], "verify": ["--verify", _FILE], "list": ["--list"]}
_PGVOW_MODE = {"backup": ["backup"], "verify": ["verify", _FILE], "list": ["list"]}
_VALUES = {
    "--stall-timeout": "3m",
    "--run-timeout": "3h",
    "--env": "prod",
    "--output-dir": "elsewhere",
    "--engine": "parallel",
    "--compress": "zstd:3",
    "--log-format": "json",
    "--progress": "none",
    "--level": "proven",
    "--since": "7d",
}


@pytest.fixture
def commands(server: TestServer, database: str, tmp_path: Path) -> Commands:
    """A user's shell, set up for a database with one table."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    return Commands(tmp_path, settings_for(server, database))


def face(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one of the two programs."""
    return subprocess.run(
        [sys.executable, *_FACES[name], *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def cpu_seconds(argv: list[str]) -> float:
    """The processor's time that a command takes: that of the clock tells of our neighbours too."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=clean_environment())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("name", _FACES)
def test_help_takes_less_than_0_3_s(name: str) -> None:
    """``--help`` takes less than 0.3 s of the processor, if nothing else disturbs it.

    What must not be loaded for it, the next test says.
    """
    argv = [sys.executable, *_FACES[name], "--help"]
    cpu_seconds(argv)  # compiled by now
    assert min(cpu_seconds(argv) for _ in range(5)) < 0.3


@pytest.mark.parametrize(
    ("words", "needless"),
    [
        (
            ["--help"],
            _NEEDLESS + r"|rich.table|pgvow\.cli\.commands\.",
        ),
        (
            ["backup", "--help"],
            r"rich.progress|pgvow\.cli\.commands\.(?!backup)",
        ),
        (["--version"], _NEEDLESS),
        (
            ["list"],
            "psycopg|asyncio|pgvow.(archive|engine|operations.(?!list|context)|postgres)",
        ),
    ],
)
def test_no_library_is_imported_before_it_is_needed(
    words: list[str], needless: str, tmp_path: Path
) -> None:
    """No library is imported before it has something to do."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pgvow", *words],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = [line.split("|")[2].strip() for line in done.stderr.splitlines() if "|" in line]
    assert "pgvow.cli.arguments" in loaded
    assert [] == [module for module in loaded if re.match(needless, module)]


def test_version_prints_program_and_version() -> None:
    """``pgvow --version`` names the program and its version."""
    done = face("pgvow", "--version")
    assert (0, f"pgvow {__version__}\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("name", _FACES)
def test_help_has_examples_and_exit_codes(name: str) -> None:
    """The way to call it, all options, examples, exit codes; plain in a pipe."""
    done = face(name, "--help")
    assert (0, "") == (done.returncode, done.stderr)
    assert EXIT_CODES in done.stdout
    assert f"\n  {'python3 ' if name.endswith('.py') else ''}{name} " in done.stdout
    assert "\x1b" not in done.stdout


def test_help_of_backup_db_lists_every_option() -> None:
    """The five of the contract first, and all the others."""
    shown = re.findall(
        r"^  (?:-\w(?: [A-Z]+)?, )?(--[a-z-]+)", face("backup_db.py", "--help").stdout, re.MULTILINE
    )
    shown.remove("--help")
    assert ["--env", "--output-dir", "--verify", "--list"] == shown[:4]
    typed = {word for _, words in options() for word in words if word.startswith("--")}
    assert typed <= set(shown)


def options() -> Iterator[tuple[str, list[str]]]:
    """Every option of ``pgvow backup|verify|list``, with a value if it takes one.

    But ``verify --database``, which chooses among backups by name: ``--verify`` takes a file.
    """
    for mode in _PGVOW_MODE:
        for action in subparser(mode)._actions:
            for word in action.option_strings:
                if word not in {"-h", "--help"} and (mode, word) != ("verify", "--database"):
                    yield mode, [word] if action.nargs == 0 else [word, _VALUES.get(word, "3")]


def subparser(mode: str) -> argparse.ArgumentParser:
    """The parser of one of pgvow's commands."""
    (commands,) = (one for one in build_parser()._actions if one.dest == "command")
    assert isinstance(commands.choices, dict)
    parser: argparse.ArgumentParser = commands.choices[mode]
    return parser


@pytest.mark.parametrize(("mode", "words"), list(options()))
def test_backup_db_accepts_the_options_of_pgvow(mode: str, words: list[str]) -> None:
    """Every option of pgvow's is accepted by backup_db.py, and means the same."""
    ours, theirs = [*_PGVOW_MODE[mode], *words], [*_CONTRACT_MODE[mode], *words]
    if mode == "verify" and words[0] in {"--all", "--env", "--output-dir"}:  # instead of a FILE
        ours, theirs = [["verify", "--all", *words], ["--all", *words]]
    meant = vars(parse_contract(theirs))
    assert vars(parse_pgvow(ours)) == {
        key: meant[key] for key in meant if key not in {"list", "contract"}
    }


@pytest.mark.parametrize("env", ["dev", "DEV", "development", "Development"])
def test_synonyms_of_dev_are_accepted_in_any_case(env: str, commands: Commands) -> None:
    """A word for it in any case, and the backup is named ``dev``."""
    done = commands.run("--env", env, "--json")
    assert done.code == 0, done.err
    assert "dev" == done.json["metadata"]["environment"]
    assert "_dev_" in done.json["backup_path"]


@pytest.mark.parametrize("env", ["prod", "Prod", "production", "PRODUCTION"])
def test_synonyms_of_prod_are_accepted_in_any_case(env: str, tmp_path: Path) -> None:
    """So with production, and so with the environments that are listed."""
    for environment in ("dev", "prod"):
        backups.place(tmp_path, backups.metadata(environment=environment))
    listed = Commands(tmp_path).run("--list", "--output-dir", ".", "--env", env, "--json").json
    assert ["prod"] == [one["environment"] for one in listed]


def test_an_unknown_environment_is_quoted_in_the_error(tmp_path: Path) -> None:
    """Never a guess."""
    for words in (["--env", "staging"], ["--list", "--env", "staging"]):
        done = Commands(tmp_path).run(*words)
        assert 2 == done.code
        assert "'staging'" in done.err


def test_json_prints_one_document_on_success(commands: Commands) -> None:
    """One document on standard output and nothing else, on each command of both faces."""
    made = commands.run("--json")
    dump = made.json["backup_path"]
    objects = [
        made,
        commands.pgvow("verify", dump, "--json"),
        commands.run("--verify", dump, "--json"),
    ]
    for done in objects:
        assert (0, "", True) == (done.code, done.err, done.json["ok"])
    for done in (commands.run("--list", "--json"), commands.pgvow("list", "--json")):
        assert (0, "", [dump]) == (done.code, done.err, [one["path"] for one in done.json])
    assert commands.pgvow("doctor", "--json").json["ok"] is True


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["backup", "--json"], 3),
        (["verify", "--json", "."], 8),
        (["list", "--json", "--env", "staging"], 2),
        (["list", "--json", "--output-dir", "file"], 2),
        (["list", "--json", "--nonsense"], 2),
        (["verify", "--json"], 2),
        (["--json"], 2),
    ],
)
def test_json_prints_one_error_object_on_failure(
    words: list[str], code: int, commands: Commands
) -> None:
    """One object with the cause; text for people is on standard error."""
    (commands.cwd / "file").touch()
    done = commands.pgvow(*words, DEV_DB_NAME="nowhere")
    assert (code, False) == (done.code, done.json["ok"])
    if words[0] != "verify" or len(words) == 2:
        assert {"title", "cause", "exit_code", "facts", "steps"} == set(done.json["error"])
        assert code == done.json["error"]["exit_code"]
        assert "✗" in done.err
        assert done.json["error"]["cause"].splitlines()[0] in done.err


def test_quiet_prints_nothing_on_success(commands: Commands) -> None:
    """``--quiet`` prints nothing at all on success, on each command of both faces."""
    assert ("", "") == ((made := commands.run("--quiet")).out, made.err)
    (dump,) = (commands.cwd / "db/backups").glob("*.dump")
    for done in (
        commands.pgvow("verify", dump, "--quiet"),
        commands.run("--verify", dump, "--quiet"),
        commands.pgvow("list", "--quiet"),
        commands.run("--list", "--quiet"),
        commands.pgvow("doctor", "--quiet"),
    ):
        assert (0, "", "") == (done.code, done.out, done.err)


def test_quiet_hides_warnings_that_json_keeps(
    pg15: TestServer, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """A warning is no failure: it is told without ``--quiet``, and kept in the JSON."""
    settings = settings_for(pg15, make_database(pg15), bin_dir=programs(18))
    commands = Commands(tmp_path, settings)
    assert commands.run().err.startswith("! using pg_dump 18")
    quiet = commands.run("--quiet")
    assert (0, "", "") == (quiet.code, quiet.out, quiet.err)
    assert 1 == len(commands.run("--quiet", "--json").json["warnings"])


def test_quiet_prints_a_failure(commands: Commands) -> None:
    """Cron mails the output: a failure is printed."""
    failed = commands.run("--quiet", DEV_DB_NAME="nowhere")
    assert (3, "") == (failed.code, failed.out)
    assert failed.err.startswith("✗ Backup failed")
    (commands.cwd / "x.dump").touch()
    broken = commands.run("--quiet", "--verify", "x.dump")
    assert 8 == broken.code
    assert broken.out.startswith("✗ Backup verification failed")


def test_results_go_to_stdout_and_errors_to_stderr(commands: Commands) -> None:
    """Results to standard output, failures to standard error, neither to both."""
    assert "" == commands.run().err
    assert "" == commands.run(DEV_DB_NAME="nowhere").out


def test_json_is_valid_in_any_encoding_of_stdout(commands: Commands) -> None:
    """Whatever the encoding of standard output, it is JSON that says the same."""
    commands.run("--quiet")
    plain = commands.run("--list", "--json").json
    assert plain == commands.run("--list", "--json", PYTHONIOENCODING="ascii").json
    assert plain == json.loads(commands.run("--list", "--json", PYTHONIOENCODING="latin-1").out)
