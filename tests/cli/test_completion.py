"""Completion in real shells, and the files that are made from the parser."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgvow.cli.commands.completion import SCRIPTS
from tests.support.commands import ROOT, clean_environment
from tools import shell_files

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = "shop_prod_2026-11-27T16-44-00Z"
_OLDER = "shop_prod_2026-11-26T16-44-00Z"


def shell(name: str) -> str:
    """Return the path of a shell; skips the test if this machine has none."""
    if (program := shutil.which(name)) is None:
        pytest.skip(f"{name} is not installed")
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an environment of its own, and the files of two backups."""
    (tmp_path / "db/backups").mkdir(parents=True)
    for stem in (_NAME, _OLDER):
        (tmp_path / f"db/backups/{stem}.dump").touch()
    (tmp_path / "pgvow.toml").write_text('[environments.staging]\nprefix = "STAGING_"\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pgvow").symlink_to(Path(sys.executable).parent / "pgvow")
    return tmp_path


def environment(project: Path) -> dict[str, str]:
    """Return the environment of a shell that finds pgvow."""
    return {**clean_environment(), "PATH": f"{project}/bin:{os.environ['PATH']}", "TERM": "dumb"}


def script(name: str) -> Path:
    """Return the completion script of a shell."""
    return shell_files.SCRIPT_FOLDER / SCRIPTS[name]


def in_bash(project: Path, line: str) -> list[str]:
    """Return the words that bash offers at the end of a line."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        f"source '{script('bash')}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1};"
        f" COMP_LINE='{line}'; COMP_POINT={len(line)}; _shtab_pgvow;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return _output([shell("bash"), "--norc", "-c", code], project).split()


def in_fish(project: Path, line: str) -> list[str]:
    """Return the words that fish offers at the end of a line."""
    code = f"source '{script('fish')}'; complete -C '{line}'"
    shown = _output([shell("fish"), "--no-config", "-c", code], project)
    return [row.split("\t")[0] for row in shown.splitlines()]


def in_zsh(project: Path, line: str) -> list[str]:
    """Return the words on zsh's screen after a tab at the end of a line."""
    setup = (
        "PROMPT='> '; LISTMAX=1000; unset zle_bracketed_paste; "
        f"fpath=('{script('zsh').parent}' $fpath); autoload -U compinit;"
        " compinit -u -D; echo ready\n"
    )
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another process
        os.chdir(project)
        os.execve(shell("zsh"), ["zsh", "-f", "-i"], {**environment(project), "COLUMNS": "200"})  # noqa: S606
    try:
        os.write(terminal, setup.encode())
        _read_until(terminal, lambda text: text.count("ready") >= 2)
        os.write(terminal, f"{line}\t\t".encode())
        text = _read_until(terminal, lambda _: False)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", text).split()


def _read_until(terminal: int, is_enough: Callable[[str], bool], quiet: float = 3.0) -> str:
    """Read a terminal until it shows enough, or has been silent for some seconds."""
    text = ""
    end = time.monotonic() + 60
    while not is_enough(text) and time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], quiet if text else 30)
        if not ready:
            break
        text += os.read(terminal, 65536).decode(errors="replace")
    return text


def _output(argv: list[str], project: Path) -> str:
    return subprocess.run(
        argv, cwd=project, env=environment(project), capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("completed", [in_bash, in_fish, in_zsh])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pgvow ver", ["verify"]),
        ("pgvow backup --comp", ["--compress"]),
        ("pgvow backup --env ", ["dev", "prod", "staging"]),
        ("pgvow verify ", ["latest", _NAME, _OLDER]),
        ("pgvow verify shop", [_NAME, _OLDER]),
        ("pgvow completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_bash_fish_and_zsh_complete(
    project: Path,
    completed: Callable[[Path, str], list[str]],
    line: str,
    expected: list[str],
) -> None:
    """Commands, options, environments and names of backups, in bash, fish and zsh."""
    offered = completed(project, line)
    prefix = line.rsplit(" ", 1)[1]
    for word in expected:  # zsh completes a common beginning in place, then lists
        assert any(word in one or (prefix and one.endswith(word)) for one in offered), offered


@pytest.mark.parametrize("completed", [in_bash, in_fish])
def test_a_command_is_offered_no_option_of_another(
    project: Path, completed: Callable[[Path, str], list[str]]
) -> None:
    """After a command only its own options are offered, and there are some."""
    offered = completed(project, "pgvow list --")
    assert "--json" in offered
    assert "--engine" not in offered


def test_completion_takes_less_than_0_15_s(project: Path) -> None:
    """The names of backups take less than 0.15 s of the processor."""
    argv = [str(project / "bin/pgvow"), "completion", "backups"]

    def seconds() -> float:
        child = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, cwd=project, env=environment(project)
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        return usage.ru_utime + usage.ru_stime

    seconds()  # compiled by now
    assert min(seconds() for _ in range(5)) < 0.15


def test_a_directory_that_cannot_be_read_completes_nothing(project: Path) -> None:
    """An error of pgvow's is not shown in the middle of a line that is being typed."""
    (project / "pgvow.toml").write_text("[[[")
    assert in_bash(project, "pgvow verify nothing") == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_completion_scripts_are_up_to_date(name: str) -> None:
    """The shipped scripts are made from the current options: ``make reference``."""
    assert shell_files.script(name) == script(name).read_text(encoding="utf-8")


def test_pgvow_1_is_up_to_date() -> None:
    """The page of the manual has the options that there are: ``make reference``."""
    assert shell_files.manual() == shell_files.MANUAL.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_command_prints_the_script(name: str, project: Path) -> None:
    """``pgvow completion SHELL`` prints the script that the package holds."""
    shown = _output([str(project / "bin/pgvow"), "completion", name], project)
    assert shown == script(name).read_text(encoding="utf-8")
    assert (ROOT / "pyproject.toml").read_text().count("completion_scripts") == len(SCRIPTS)
