"""A removal by name that dies before a step, as by ``kill -9``: DUMP STEP."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pgvow.operations.remove import RemoveOptions, remove_backups
from pgvow.spool import removal
from tests.support.contexts import a_context

if TYPE_CHECKING:
    from pgvow.spool.files import BackupFiles


def _die(_: BackupFiles) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(dump: str, count: str) -> None:
    """Remove a backup that is kept, and die on the way."""
    removal.STEPS = (*removal.STEPS[: int(count)], _die)
    remove_backups([Path(dump)], RemoveOptions(even_kept=True), a_context())


if __name__ == "__main__":
    main(*sys.argv[1:])
