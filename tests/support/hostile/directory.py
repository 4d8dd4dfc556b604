"""A directory of backups that means harm: entries of any name and type beside sound backups.

Add an entry here, and the tests over them have it.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEM = "shop_dev_2099-01-01T00-00-00Z"
"""Of a backup that would be the newest."""


def _pipe_as_dump(folder: Path) -> None:
    os.mkfifo(folder / f"{STEM}.dump")


def _pipe_as_metadata(folder: Path) -> None:
    (folder / f"{STEM}.dump").write_bytes(b"PGDMP")
    os.mkfifo(folder / f"{STEM}.metadata.json")


def _pipe_as_everything(folder: Path) -> None:
    for suffix in ("dump", "metadata.json", "proof.json", "globals.sql"):
        os.mkfifo(folder / f"{STEM}.{suffix}")


def _loop(folder: Path) -> None:
    for suffix in ("dump", "metadata.json"):
        (folder / f"{STEM}.{suffix}").symlink_to(f"{STEM}.{suffix}")


def _directory(folder: Path) -> None:
    for suffix in ("dump", "metadata.json"):
        (folder / f"{STEM}.{suffix}").mkdir()


def _socket(folder: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s.dump")  # the path of a socket is short
    finally:
        os.fchdir(here)
        os.close(here)


def _long_name(folder: Path) -> None:
    (folder / f"{'a' * 250}.dump").write_bytes(b"PGDMP")


def _name_that_is_no_text(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\xfe_dev_2099-01-01T00-00-00Z.dump")).write_bytes(b"PGDMP")


def _name_with_escapes(folder: Path) -> None:
    (folder / "\x1b[2J\x1b]0;x\x07_dev_2099-01-01T00-00-00Z.dump").write_bytes(b"PGDMP")


def _dangling_link(folder: Path) -> None:
    for suffix in ("dump", "metadata.json"):
        (folder / f"{STEM}.{suffix}").symlink_to("nowhere")


def _endless_device(folder: Path) -> None:
    for suffix in ("dump", "metadata.json", "proof.json"):
        (folder / f"{STEM}.{suffix}").symlink_to("/dev/zero")


def _huge_metadata(folder: Path) -> None:
    (folder / f"{STEM}.dump").write_bytes(b"PGDMP")
    with (folder / f"{STEM}.metadata.json").open("wb") as file:
        file.truncate(10 << 30)


def _deep_metadata(folder: Path) -> None:
    (folder / f"{STEM}.dump").write_bytes(b"PGDMP")
    (folder / f"{STEM}.metadata.json").write_text("[" * 200_000)


def _long_number(folder: Path) -> None:
    (folder / f"{STEM}.dump").write_bytes(b"PGDMP")
    (folder / f"{STEM}.metadata.json").write_text('{"backup_size_bytes": ' + "9" * 5000 + "}")


ENTRIES: dict[str, Callable[[Path], None]] = {
    "pipe as dump": _pipe_as_dump,
    "pipe as metadata": _pipe_as_metadata,
    "pipe as everything": _pipe_as_everything,
    "loop of links": _loop,
    "directory": _directory,
    "socket": _socket,
    "name of 255 bytes": _long_name,
    "name that is no text": _name_that_is_no_text,
    "name with escape sequences": _name_with_escapes,
    "dangling link": _dangling_link,
    "endless device": _endless_device,
    "metadata of 10 GB": _huge_metadata,
    "metadata of 200,000 levels": _deep_metadata,
    "number of 5,000 digits": _long_number,
}
