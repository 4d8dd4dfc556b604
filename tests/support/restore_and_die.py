"""A restore that is killed, as by ``kill -9``, when it comes to a phase of its work."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pgvow.operations.restore import restore_backup
from pgvow.operations.restore_run import RestoreOptions
from pgvow.progress import Silent, Step
from pgvow.settings import load


class Deadly(Silent):
    """Kills this very process when a phase begins."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self._phase = phase

    def update(self, step: Step) -> None:
        """Die if this is the moment."""
        if step.phase == self._phase:
            os.kill(os.getpid(), signal.SIGKILL)


def main(dump: str, database: str, phase: str, terminate: str) -> None:
    """Restore ``dump`` in place of ``database``, and die at ``phase``."""
    options = RestoreOptions(
        file=Path(dump), database=database, swap=True, terminate=terminate == "terminate"
    )
    settings = load(env="dev", environ=os.environ, directory=Path(dump).parent)
    restore_backup(settings, options, environ=os.environ, progress=Deadly(phase))


if __name__ == "__main__":
    main(*sys.argv[1:])
