"""A prune that dies before a step of its first removal, as by ``kill -9``: DIRECTORY STEP."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pgvow.operations.prune import PruneOptions, prune
from pgvow.retention import RetentionRules
from pgvow.spool import removal
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from pgvow.spool.files import BackupFiles


def _die(_: BackupFiles) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(directory: str, count: str) -> None:
    """Prune, and die on the way."""
    removal.STEPS = (*removal.STEPS[: int(count)], _die)
    prune(PruneOptions(Path(directory), lambda _: RetentionRules(last=1)), a_context())


if __name__ == "__main__":
    main(*sys.argv[1:])
