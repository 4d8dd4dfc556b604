"""The words that a shell completes: names of backups, and environments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgvow import DEFAULT_DIRECTORY, settings
from pgvow.errors import PgvowError
from pgvow.quoted_texts import printable
from pgvow.store.backups import directories
from pgvow.store.names import DUMP, parse_stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgvow.settings import Configuration


def print_words(kind: str) -> int:
    """Print the words of ``backups`` or ``environments``, a line each; returns the exit code.

    Nobody reads an error in the middle of a line that is being typed: there are no words then.
    """
    try:
        loaded = settings.load_configuration(path=None, environ=os.environ, directory=Path())
        found = _backups if kind == "backups" else _environments
        words = list(found(loaded.configuration))
    except (PgvowError, OSError) as error:
        return error.exit_code if isinstance(error, PgvowError) else 1
    for word in words:
        if word == printable(word) and not word.split()[1:]:  # others cannot be typed as they are
            print(word)
    return 0


def _backups(configuration: Configuration) -> Iterator[str]:
    """Yield the names of the backups' files, newest first, by the files' names alone."""
    first = configuration.output_dir_of(None) or Path(DEFAULT_DIRECTORY)
    stems = {
        path.name.removesuffix(DUMP)
        for directory in directories(configuration, first)
        if directory.is_dir()
        for path in directory.iterdir()
        if path.name.endswith(DUMP)
    }
    known = ((parse_stem(stem), stem) for stem in stems)
    dated = sorted(((stem.moment, name) for stem, name in known if stem), reverse=True)
    yield from ("latest" for _ in dated[:1])
    yield from (name for _, name in dated)


def _environments(configuration: Configuration) -> Iterator[str]:
    """Yield the environments that --env takes."""
    yield from dict.fromkeys(["dev", "prod", *configuration.environments, "auto"])
