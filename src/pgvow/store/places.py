"""The directories in which a configuration keeps backups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import DEFAULT_DIRECTORY
from pgvow.store.directory import DirectoryStore
from pgvow.store.listing import backups_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.settings import Configuration


def directories(configuration: Configuration, first: Path) -> list[Path]:
    """List ``first`` and every other directory that the settings name, each once.

    The default one is among them if some environment uses it and it has backups. Raises
    AccessDenied or PgvowError if that one cannot be read.
    """
    chosen: dict[Path, Path] = {}
    for place in (first, *_configured(configuration)):
        chosen.setdefault(place.resolve(), place)  # the first spelling stays
    return list(chosen.values())


def _configured(configuration: Configuration) -> Iterator[Path]:
    for name in (None, *configuration.environments):
        place = configuration.output_dir_of(name)
        if place is not None:
            yield place
        elif configuration.environments and _has_backups(default := Path(DEFAULT_DIRECTORY)):
            yield default


def _has_backups(directory: Path) -> bool:
    return bool(backups_in(DirectoryStore(directory)))
