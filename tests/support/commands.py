"""Run backup_db.py and pgvow as a user does: as processes, in a directory, with an environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.schemas import conforming
from tests.support.terminal import on_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.servers import TestServer
from tests.support.terminal import Screen

ROOT = Path(__file__).resolve().parents[2]
_CLEAN = ("PATH", "HOME", "TMPDIR", "LANG", "COVERAGE_PROCESS_START", "PYTHONDONTWRITEBYTECODE")


def clean_environment() -> dict[str, str]:
    """The environment of a user who has set nothing of ours or libpq's."""
    return {name: os.environ[name] for name in _CLEAN if name in os.environ}


def settings_for(
    server: TestServer, database: str, *, environment: str = "dev", bin_dir: Path | None = None
) -> dict[str, str]:
    """The variables with which a user points pgvow at one database of a test server."""
    prefix = "DEV_" if environment == "dev" else ""
    return {
        f"{prefix}DB_HOST": str(server.socket_dir),
        f"{prefix}DB_PORT": str(server.port),
        f"{prefix}DB_NAME": database,
        f"{prefix}DB_USER": server.superuser,
        f"{prefix}DB_PASSWORD": server.password,
        "PGVOW_PG_BIN": str(bin_dir or server.bin),
    }


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON, held against its schema."""
        return conforming(json.loads(self.out))


@dataclass
class Commands:
    """A user's shell: a directory and variables. ``face`` is the program and its first words."""

    cwd: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()

    def run(self, *arguments: str | Path, timeout: float = 600, **more: str) -> Done:
        """Run ``backup_db.py`` to its end."""
        return self._run([ROOT / "backup_db.py", *arguments], timeout, more)

    def pgvow(self, *arguments: str | Path, timeout: float = 600, **more: str) -> Done:
        """Run ``pgvow`` to its end."""
        return self._run(["-m", "pgvow", *arguments], timeout, more)

    def one_after_another(
        self, *commands: tuple[str | Path, ...], timeout: float = 600
    ) -> list[Done]:
        """Run several commands of ``pgvow`` in one process, which is cheaper, to their end."""
        done = subprocess.run(
            self._argv(["-m", "tests.support.one_after_another"]),
            cwd=self.cwd,
            env=self._environment({"PYTHONPATH": str(ROOT)}),
            input=json.dumps([[str(word) for word in words] for words in commands]),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
        )
        return [Done(**each) for each in json.loads(done.stdout)]

    def run_module(self, module: str, *arguments: str | Path, **more: str) -> Done:
        """Run a program of the tests' own to its end."""
        return self._run(["-m", module, *arguments], 600, more)

    def start(self, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start ``backup_db.py``; the caller ends it."""
        return subprocess.Popen(
            self._argv([ROOT / "backup_db.py", *arguments]),
            cwd=self.cwd,
            env=self._environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_terminal(
        self,
        *arguments: str | Path,
        columns: int = 100,
        answers: Sequence[tuple[str, str]] = (),
        **more: str,
    ) -> Screen:
        """Run ``pgvow`` in a terminal, to its end; each answer is typed after its question."""
        return on_terminal(
            self._argv(["-m", "pgvow", *arguments]),
            cwd=self.cwd,
            env=self._environment(more),
            columns=columns,
            answers=answers,
        )

    def _run(self, words: list[str | Path], timeout: float, more: Mapping[str, str]) -> Done:
        done = subprocess.run(
            self._argv(words),
            cwd=self.cwd,
            env=self._environment(more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def _argv(self, words: list[str | Path]) -> list[str]:
        return [*self.prefix, sys.executable, *map(str, words)]

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**clean_environment(), **self.variables, **more}
