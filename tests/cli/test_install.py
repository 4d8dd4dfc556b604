"""Each way of installing that README names, in an empty home, up to the first proven backup."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import ROOT, clean_environment
from tests.support.recording import Recording, read_recording, record

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
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "-w",
            house,
            clone,
            "hatchling",
            "pip",
            "editables",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    (house / "built").mkdir()  # aside: each installer builds it
    wheel = next(house.glob("pgvow-*.whl"))
    wheel.rename(house / "built" / wheel.name)
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


@pytest.fixture
def existing(server: TestServer, database: str) -> str:
    """A database that was there before pgvow."""
    with server.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT n FROM generate_series(1, 5000) AS n")
    return database


def first_minute(server: TestServer, database: str, home: dict[str, str], cwd: Path) -> Recording:
    """Record the one command from an installation to a backup that is proven."""
    words = [
        *("pgvow", "init", "--now", "--password-stdin", "--dbname", database),
        *("--host", str(server.socket_dir), "--port", str(server.port)),
        *("--user", server.superuser),
    ]
    program = shutil.which("pgvow", path=home["PATH"])
    assert program is not None
    return record(
        [program, *words[1:]],
        title=" ".join(words),
        cwd=cwd,
        env={**home, "PGVOW_PG_BIN": str(server.bin)},
        given=f"{server.password}\n",
    )


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


def pip_install(place: Path, *words: str, wheels: Path, home: dict[str, str], cwd: Path) -> None:
    """``pip install`` in a new virtual environment, by the pip that is here: ensurepip is slow."""
    run([sys.executable, "-m", "venv", "--without-pip", place], home, cwd)
    pip = [sys.executable, "-m", "pip", "--python", place / "bin/python", "install", "-q"]
    run([*pip, "--no-index", "--find-links", wheels, *words], home, cwd)


def installed_by_pip(clone: Path, wheels: Path, home: dict[str, str]) -> None:
    """``python3 -m pip install .`` in a virtual environment of one's own."""
    place = Path(home["HOME"]) / "venv"
    pip_install(place, ".", wheels=wheels, home=home, cwd=clone)
    home["PATH"] = f"{place}/bin:{home['PATH']}"


def installed_in_the_clone(clone: Path, wheels: Path, home: dict[str, str]) -> None:
    """``.venv`` of a clone, as ``make setup`` makes it but for the packages of development."""
    place = Path(home["HOME"]) / "pgvow"
    shutil.copytree(clone, place)
    pip_install(place / ".venv", "-e", ".", wheels=wheels, home=home, cwd=place)
    home["PATH"] = f"{place}/.venv/bin:{home['PATH']}"
    run([place / ".venv/bin/python", "backup_db.py", "--help"], home, place)


@pytest.mark.parametrize(
    "installed", [installed_by_uv, installed_by_pipx, installed_by_pip, installed_in_the_clone]
)
def test_from_an_empty_home_to_a_proven_backup(
    installed: type, clone: Path, wheels: Path, home: dict[str, str],
    server: TestServer, existing: str, tmp_path: Path,
) -> None:  # fmt: skip
    """After the installation one command, and below 60 s: settings, a backup, and its proof."""
    installed(clone, wheels, home)
    assert run(["pgvow", "--version"], home, tmp_path).startswith("pgvow ")
    assert "--verify" in run(["backup_db.py", "--help"], home, tmp_path)
    recording = first_minute(server, existing, home, tmp_path)
    assert 0 == recording.code, recording.text
    assert "Backup proven" in recording.text
    assert recording.seconds < _PROVEN_WITHIN_SECONDS
    assert server.password not in recording.text
    recording.write(tmp_path / "first-minute.cast")
    assert recording.text in read_recording(tmp_path / "first-minute.cast").text
    evidence = [json.loads(path.read_text()) for path in tmp_path.glob("db/backups/*.proof.json")]
    assert ["proven"] == [proof["level"] for proof in evidence]


def test_the_recording_in_the_documents_is_of_a_proven_backup() -> None:
    """It was made by this command on a server, ends in the proof, and took less than a minute."""
    shown = read_recording(ROOT / "docs/first-minute.cast")
    assert shown.title.startswith("pgvow init --now ")
    assert "Connected: PostgreSQL" in shown.text
    assert "Backup proven" in shown.text
    assert shown.seconds < _PROVEN_WITHIN_SECONDS


def test_the_readme_explains_the_refusal_of_debians_python() -> None:
    """Who meets PEP 668 finds its words there, and the ways that work."""
    install = (ROOT / "README.md").read_text().partition("## Install")[2].partition("\n## ")[0]
    named = (
        "error: externally-managed-environment",
        "PEP 668",
        "uv tool install .",
        "apt install pipx",
    )
    for words in named:
        assert words in install


def test_the_wheel_brings_manual_and_completion(wheels: Path) -> None:
    """``man pgvow`` and the shells' scripts are installed where systems look for them."""
    built = next((wheels / "built").iterdir())
    with zipfile.ZipFile(built) as archive:
        installed = {name.partition(".data/data/")[2] for name in archive.namelist()}
    for name in (
        "man/man1/pgvow.1",
        "bash-completion/completions/pgvow",
        "zsh/site-functions/_pgvow",
        "fish/vendor_completions.d/pgvow.fish",
    ):
        assert f"share/{name}" in installed
