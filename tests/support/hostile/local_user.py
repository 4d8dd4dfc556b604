"""Another user who may write into the directory of backups: one entry for each thing he can do.

Each takes the directory of the backups and one name in it, and returns nothing. To add a kind, add
a function to ``FILE_KINDS`` or ``DIRECTORY_KINDS``: every test over them has it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

THEIRS = b"theirs"


def theirs(directory: Path) -> Path:
    """Name a file of his, beside the directory of the backups."""
    return directory.parent / "theirs"


def remove(path: Path) -> None:
    """Remove the file."""
    path.unlink()


def replace(path: Path) -> None:
    """Put another file in its place."""
    path.unlink()
    path.write_bytes(THEIRS)
    path.chmod(0o600)


def plant_symlink(path: Path) -> None:
    """Put a link to a file of his in its place."""
    path.unlink()
    path.symlink_to(theirs(path.parent))


def plant_hard_link(path: Path) -> None:
    """Put another name of a file of his in its place."""
    path.unlink()
    path.hardlink_to(theirs(path.parent))


def plant_link_to_itself(path: Path) -> None:
    """Move the file away, and put a link to it in its place."""
    moved = path.rename(path.parent.parent / "moved")
    path.symlink_to(moved)


def keep_second_name(path: Path) -> None:
    """Give the file a second name."""
    Path(path.parent.parent / "second").hardlink_to(path)


def plant_directory(path: Path) -> None:
    """Put a directory in its place."""
    path.unlink()
    path.mkdir()


def plant_pipe(path: Path) -> None:
    """Put a named pipe in its place."""
    path.unlink()
    os.mkfifo(path, 0o600)


def open_to_all(path: Path) -> None:
    """Let everybody read and write it."""
    path.chmod(0o666)


FILE_KINDS: dict[str, Callable[[Path], None]] = {
    "removed": remove,
    "replaced": replace,
    "symlink": plant_symlink,
    "hard link": plant_hard_link,
    "link to itself": plant_link_to_itself,
    "second name": keep_second_name,
    "directory": plant_directory,
    "pipe": plant_pipe,
    "open to all": open_to_all,
}


def move_directory(directory: Path) -> None:
    """Move the directory away."""
    directory.rename(directory.parent / "elsewhere")


def swap_directory(directory: Path) -> None:
    """Put another directory in its place, with files of the same names."""
    names = [path.name for path in directory.iterdir()]
    move_directory(directory)
    directory.mkdir()
    for name in names:
        (directory / name).write_bytes(THEIRS)


def link_directory(directory: Path) -> None:
    """Put a link to another directory in its place."""
    other = directory.parent / "other"
    other.mkdir()
    (other / "kept").write_bytes(THEIRS)
    move_directory(directory)
    directory.symlink_to(other)


DIRECTORY_KINDS: dict[str, Callable[[Path], None]] = {
    "moved": move_directory,
    "swapped": swap_directory,
    "linked": link_directory,
}
