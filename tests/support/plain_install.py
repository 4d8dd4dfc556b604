"""An installation without extras: a folder with the packages that pyproject.toml requires alone."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.commands import ROOT, Commands

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def _requirements(lines: list[str]) -> list[tuple[str, frozenset[str]]]:
    """Read names and extras; those that an extra or another Python asks for are left out."""
    wanted = []
    for line in lines:
        text, _, marker = line.partition(";")
        if "extra" in marker or (match := _NAME.match(text)) is None:
            continue
        extras = re.search(r"\[(.*)\]", text)
        wanted.append((match[0], frozenset(extras[1].split(",") if extras else ())))
    return wanted


def _install(name: str, extras: frozenset[str], folder: Path, seen: set[str]) -> None:
    if name in seen:
        return
    seen.add(name)
    try:
        found = distribution(name)
    except ModuleNotFoundError:  # in the standard library of this Python
        return
    for top in {Path(str(file)).parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (folder / top).exists():
            (folder / top).symlink_to(Path(str(found.locate_file(top))))
    lines = found.requires or []
    for extra in extras:
        lines = [re.sub(rf";.*extra == ['\"]{extra}['\"].*", "", line) for line in lines]
    for required, own in _requirements(lines):
        _install(required, own, folder, seen)


class PlainInstall(Commands):
    """A user's shell in which nothing of an extra can be imported."""

    def __init__(self, cwd: Path, variables: Mapping[str, str]) -> None:
        packages = cwd / "packages"
        packages.mkdir()
        (packages / "pgvow").symlink_to(ROOT / "src/pgvow")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        seen: set[str] = set()
        for name, extras in _requirements(project["dependencies"]):
            _install(name, extras, packages, seen)
        super().__init__(cwd, {**variables, "PYTHONPATH": str(packages)})

    def _argv(self, words: list[str | Path]) -> list[str]:
        return [sys.executable, "-S", *map(str, words)]  # -S: no site-packages
