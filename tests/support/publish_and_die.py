"""A run that kills itself while it publishes: ``DIRECTORY STEPS globals|plain publish|undo``.

It dies as by ``kill -9`` after so many steps of publishing, or, told to undo, when it has taken
back so many renames of a publication that failed just before the metadata got its name.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pgvow import durable
from pgvow.spool import Spool, publish
from tests.support import backups

if TYPE_CHECKING:
    from pgvow.spool.publish import Publication


def _die(_: object = None) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _fail(_: Publication) -> NoReturn:
    raise KeyboardInterrupt


def _die_while_undoing(count: int) -> None:
    renamed: list[str] = []
    real = durable.rename_new

    def rename(directory: int, name: str, new: str) -> None:
        if len(renamed) == count:
            _die()
        renamed.append(new)
        real(directory, name, new)

    def fail(publication: Publication) -> NoReturn:
        durable.rename_new = rename
        _fail(publication)

    before = publish.STEPS.index(publish.rename_metadata)
    publish.STEPS = (*publish.STEPS[:before], fail)


def main(directory: str, count: str, kind: str, when: str) -> None:
    """Publish a backup and die on the way."""
    if when == "undo":
        _die_while_undoing(int(count))
    else:
        publish.STEPS = (*publish.STEPS[: int(count)], _die)
    store = Spool(Path(directory))
    with (
        store.lock("shop", "dev", backups.clock),
        store.begin("shop", "dev", backups.MOMENT) as draft,
    ):
        draft.publish(backups.fill(draft, with_globals=kind == "globals"))


if __name__ == "__main__":
    main(*sys.argv[1:])
