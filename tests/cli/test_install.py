"""Each way of installing that README names, in an empty home, up to the first proven backup."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import ROOT, clean_environment

if TYPE_CHECKING:
    from tests.support.servers import TestServer

pytestmark = pytest.mark.majors(18)

_BIN = Path(sys.executable).parent
_PROVEN_WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has after cloning: the files of the repository, without git."""
    folder = tmp_path_factory.mktemp("clone")
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if name.startswith(("src/", "docs/", "db/")) or "/" not in name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheels(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every package that an installation needs, as wheels: fetched once, as pip is set up here."""
    house = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "-w", house, clone, "hatchling", "pip"],
        check=True,
        capture_output=True,
        text=True,
    )
    (house / next(house.glob("pgvow-*.whl")).name).unlink()  # it is built by each installer
    return house


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has just got the machine."""
    place = tmp_path / "home"
    place.mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    return {
        **clean_environment(),
        **kept,
        "HOME": str(place),
        "PATH": f"{place}/.local/bin:/usr/local/bin:/usr/bin:/bin",
        "UV_PYTHON": sys.executable,
        "UV_LINK_MODE": "copy",
        "PIPX_DEFAULT_PYTHON": sys.executable,
    }


def run(argv: list[str | Path], env: dict[str, str], cwd: Path, given: str = "") -> str:
    """Run a command to its end, and return its output; fails with what it said."""
    done = subprocess.run(
        argv, env=env, cwd=cwd, input=given, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr + done.stdout
    return done.stdout


def installed_by_uv(clone: Path, wheels: Path, home: dict[str, str]) -> None:
    """``uv tool install .``, with the wheels at hand in the place of an index."""
    words = ["tool", "install", "--no-index", "--find-links", str(wheels), "."]
    run([_BIN / "uv", *words], home, clone)


def installed_by_pipx(clone: Path, wheels: Path, home: dict[str, str]) -> None:
    """``pipx install .``, with the wheels at hand in the place of an index."""
    offline = f"--no-index --find-links {wheels}"
    run([_BIN / "pipx", "install", "--pip-args", offline, "."], home, clone)


def installed_by_pip(clone: Path, wheels: Path, home: dict[str, str]) -> None:
    """``python3 -m pip install .`` in a virtual environment of one's own."""
    place = Path(home["HOME"]) / "venv"
    run([sys.executable, "-m", "venv", place], home, clone)
    offline = ["--no-index", "--find-links", str(wheels)]
    run([place / "bin/python", "-m", "pip", "install", "-q", *offline, "."], home, clone)
    (Path(home["HOME"]) / ".local").mkdir()
    (Path(home["HOME"]) / ".local/bin").symlink_to(place / "bin")


@pytest.mark.parametrize("installed", [installed_by_uv, installed_by_pipx, installed_by_pip])
def test_from_an_empty_home_to_a_proven_backup(
    installed: type, clone: Path, wheels: Path, home: dict[str, str],
    server: TestServer, database: str, tmp_path: Path,
) -> None:  # fmt: skip
    """After the installation one command, and below 60 s: settings, a backup, and its proof."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 5000) AS n")
    installed(clone, wheels, home)
    assert run(["pgvow", "--version"], home, tmp_path).startswith("pgvow ")
    assert "--verify" in run(["backup_db.py", "--help"], home, tmp_path)
    begun = time.monotonic()
    said = run(
        [
            *("pgvow", "init", "--now", "--json", "--password-stdin", "--dbname", database),
            *("--host", str(server.socket_dir), "--port", str(server.port)),
            *("--user", server.superuser),
        ],
        {**home, "PGVOW_PG_BIN": str(server.bin)},
        tmp_path,
        f"{server.password}\n",
    )
    assert json.loads(said)["proven"]
    assert time.monotonic() - begun < _PROVEN_WITHIN_SECONDS


def test_the_readme_explains_the_refusal_of_debians_python() -> None:
    """Who meets PEP 668 finds its words there, and the ways that work."""
    install = (ROOT / "README.md").read_text().partition("## Install")[2].partition("\n## ")[0]
    for words in ("externally-managed-environment", "PEP 668", "uv tool install .", "pipx install"):
        assert words in install


def test_the_wheel_brings_manual_and_completion(
    clone: Path, wheels: Path, home: dict[str, str]
) -> None:
    """``man pgvow`` and the shells' scripts lie where systems look for them."""
    installed_by_pip(clone, wheels, home)
    share = Path(home["HOME"]) / "venv/share"
    for name in (
        "man/man1/pgvow.1",
        "bash-completion/completions/pgvow",
        "zsh/site-functions/_pgvow",
        "fish/vendor_completions.d/pgvow.fish",
    ):
        assert (share / name).is_file(), name
