"""How this program was started, in words that start it again."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

_NAME = "pgvow"


def own_command() -> str:
    """Return what to type for ``pgvow``, in this folder or any other.

    The bare name where that is found on PATH and means this very program; else the whole path of
    what was started, for the folder of the user's project is another one.
    """
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{_again(Path(sys.orig_argv[0]))} -m {_NAME}"
    return _again(started) if started.name == _NAME else _NAME


def _again(started: Path) -> str:
    found, meant = shutil.which(started.name), Path(shutil.which(started) or started)
    if found and _whole(Path(found)) == _whole(meant):
        return started.name
    return shlex.quote(str(_whole(meant)))


def _whole(path: Path) -> Path:
    # The program's own link stays: a virtual environment's python is known by its place.
    return path.parent.resolve() / path.name
