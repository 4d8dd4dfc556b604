"""Begin: test a connection, and write the settings by which it is backed up from then on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvow import durable, settings
from pgvow.errors import ConfigurationError
from pgvow.file_errors import refusals
from pgvow.postgres.connection import ConnectionTarget
from pgvow.postgres.server import server_facts
from pgvow.settings.configuration import DEVELOPMENT, PRODUCTION

if TYPE_CHECKING:
    from pathlib import Path

    from pgvow.operations.context import Context
    from pgvow.postgres.server import ServerFacts

SETTINGS_FILE = ".env.local"
CONFIGURATION_FILE = "pgvow.toml"
_NOWHERE = "no-settings-here"
_SOURCES = {source.name: source for source in (DEVELOPMENT, PRODUCTION)}
_CONFIGURATION = """\
# pgvow: every key is in docs/configuration.md; `pgvow config show` has what is in force.
{output_dir}
[retention]                     # what `pgvow prune` keeps, at least; see it with --dry-run
keep_last = 3
keep_daily = 7
keep_weekly = 4
keep_monthly = 12
prune_after_backup = false      # true: after each successful backup

# [notifications]               # see them arrive: pgvow notify test
# urls = ["${{PGVOW_NOTIFY_URL}}"]
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """A database to back up: a URL, or its parts. Empty ones are left to libpq, or to defaults."""

    environment: str
    url: str = ""
    host: str = ""
    port: str = ""
    dbname: str = ""
    user: str = ""
    password: str = ""
    output_dir: str = ""

    def __repr__(self) -> str:
        """Without the password, and the URL that may hold it."""
        return f"Answers({self.environment!r}, {self.host!r}, {self.dbname!r})"

    def variables(self) -> dict[str, str]:
        """Return the variables of the settings file, those of the environment that is meant."""
        names = _SOURCES[self.environment].variables
        parts = {
            names.of("HOST")[0]: self.host,
            names.of("PORT")[0]: self.port,
            names.of("NAME")[0]: self.dbname,
            names.of("USER")[0]: self.user,
        }
        place = {names.url_variable: self.url} if self.url else parts
        given = {**place, names.of("PASSWORD")[0]: self.password}
        return {name: value for name, value in given.items() if value}


def test_connection(answers: Answers, context: Context) -> ServerFacts:
    """Connect as a backup would; raises ConfigurationError, ConnectionFailed, AccessDenied."""
    names = _SOURCES[answers.environment].variables.every
    environ = {name: value for name, value in context.environ.items() if name not in names}
    loaded = settings.load(
        env=answers.environment,
        environ={**environ, **answers.variables()},
        directory=context.directory / _NOWHERE,  # what is in the files here is not tested
    )
    target = ConnectionTarget(loaded.connection, loaded.libpq_variables, context.environ)
    with target.connect("init") as session:
        return server_facts(session)


def check_free(answers: Answers, context: Context) -> None:
    """Raise ConfigurationError if the settings file has one of these variables already."""
    read = settings.Variables.read(environ={}, directory=context.directory)
    names = _SOURCES[answers.environment].variables
    taken = {name: read.get(name) for name in (names.url_variable, *names.own)}
    if any(taken.values()):
        places = ", ".join(f"{name} ({value.source})" for name, value in taken.items() if value)
        raise ConfigurationError(
            f"the settings of {answers.environment} are there already: {places}",
            steps=["Look whether they work: pgvow doctor", "To begin anew, take those lines out"],
        )


def write_settings(answers: Answers, context: Context) -> list[Path]:
    """Write ``.env.local`` for its owner only, and ``pgvow.toml`` unless it exists.

    Variables are added to a settings file that is there. Returns the files that were written;
    raises AccessDenied, NoSpace or PgvowError if one cannot be.
    """
    place = context.directory / SETTINGS_FILE
    text = "".join(f"{name}={_quoted(value)}\n" for name, value in answers.variables().items())
    _append(place, text)
    configuration = context.directory / CONFIGURATION_FILE
    if configuration.exists():
        return [place]
    output_dir = f"output_dir = {json.dumps(answers.output_dir)}\n" if answers.output_dir else ""
    with refusals("write", configuration):
        durable.write_new(configuration, _CONFIGURATION.format(output_dir=output_dir).encode())
    return [place, configuration]


def _append(place: Path, text: str) -> None:
    with refusals("write", place):
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(place, flags, 0o600)
        with os.fdopen(fd, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                text = text if file.read(1) == b"\n" else f"\n{text}"
            os.fchmod(file.fileno(), 0o600)  # it holds a password from now on
            file.write(text.encode())
            durable.sync(file.fileno())


def _quoted(value: str) -> str:
    """Quote a value for a ``.env`` file; see ``settings.env_files`` for its rules."""
    literal = re.sub(r"(['\\])", r"\\\1", value)
    return "'" + literal.replace("${", "${:-$}{") + "'"


def is_in_git(context: Context) -> bool:
    """Return whether the settings file lies in a Git repository that does not ignore it."""
    if (git := shutil.which("git", path=context.environ.get("PATH"))) is None:
        return False
    done = subprocess.run(
        [git, "check-ignore", "--quiet", SETTINGS_FILE],
        cwd=context.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 1  # 0: ignored; 128: no repository
